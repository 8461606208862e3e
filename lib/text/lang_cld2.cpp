// Language of a text: the one user of CLD2, whose interface is C++.
#include <cstddef>
#include <cstdio>
#include <cstring>

#include <cld2/public/compact_lang_det.h>

extern "C" const char *al_lang_detect(const char *text, size_t n);

static const char *detect(const char *text, size_t n)
{
    constexpr size_t bytes_max = 16384;
    bool reliable = false;
    if (n > bytes_max) {
        n = bytes_max;
        while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0U) == 0x80U)
            n--;
    }
    if (n == 0)
        return "";
    const CLD2::Language lang = CLD2::DetectLanguage(text, static_cast<int>(n), true, &reliable);
    const char *code = CLD2::LanguageCode(lang);
    if (!reliable || lang == CLD2::UNKNOWN_LANGUAGE)
        return "";
    if (std::strncmp(code, "zh", 2) == 0)
        return "zh";
    return std::strlen(code) == 2 ? code : "";
}

extern "C" const char *al_lang_detect(const char *text, size_t n)
{
    try {
        return detect(text, n);
    } catch (...) { // out of memory: the language stays unknown
        return "";
    }
}
