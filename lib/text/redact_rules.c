#include "redact_rules.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Counts of the kinds of characters. */
struct makeup {
    size_t lower;
    size_t upper;
    size_t digit;
    size_t other;
};

static struct makeup makeup_of(struct al_str s)
{
    struct makeup m = {0};
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (islower(c))
            m.lower++;
        else if (isupper(c))
            m.upper++;
        else if (isdigit(c))
            m.digit++;
        else
            m.other++;
    }
    return m;
}

/* A random string of letters and digits has all of these kinds. */
static bool is_mixed(const struct al_redact_match *m)
{
    struct makeup k = makeup_of(m->secret);
    return k.lower > 0 && k.upper > 0 && k.digit > 0;
}

static bool has_digit(const struct al_redact_match *m)
{
    return makeup_of(m->secret).digit > 0;
}

static bool has_two_digits(const struct al_redact_match *m)
{
    return makeup_of(m->secret).digit > 1;
}

static bool contains(struct al_str s, const char *part)
{
    return al_str_find(s, al_str_c(part), 0) != SIZE_MAX;
}

static bool starts_nocase(struct al_str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && strncasecmp(s.p, prefix, n) == 0;
}

static bool all_same(struct al_str s)
{
    for (size_t i = 1; i < s.n; i++)
        if (s.p[i] != s.p[0])
            return false;
    return true;
}

/* Templates, names of things, and words that stand for a secret. */
static bool is_placeholder(struct al_str v)
{
    static const char *const words[] = {
        "none",     "null",  "true",     "false",  "nil",    "undefined", "password",
        "passwd",   "pass",  "secret",   "token",  "string", "str",       "bytes",
        "optional", "value", "redacted", "hidden", "masked", "changeit",
    };
    static const char *const prefixes[] = {
        "your",       "my-",         "my_",   "example", "xxx",       "insert",
        "replace",    "placeholder", "some-", "some_",   "the-",      "the_",
        "[redacted:", "os.environ",  "env.",  "vault:",  "secretref", "arn:",
    };
    static const char *const parts[] = {"{{", "}}", "${", "$(", "...", "***", "%(", "<", "://"};
    if (v.n == 0 || all_same(v) || strchr("$%{<[(", v.p[0]))
        return true;
    for (size_t i = 0; i < AL_ARRAY_LEN(words); i++)
        if (strlen(words[i]) == v.n && starts_nocase(v, words[i]))
            return true;
    for (size_t i = 0; i < AL_ARRAY_LEN(prefixes); i++)
        if (starts_nocase(v, prefixes[i]))
            return true;
    for (size_t i = 0; i < AL_ARRAY_LEN(parts); i++)
        if (contains(v, parts[i]))
            return true;
    return false;
}

/* "self.token", "module.NAME": an expression. */
static bool is_code(const struct al_redact_match *m)
{
    size_t after = m->start + m->secret.n;
    char next = '\n';
    if (after < m->text.n)
        next = m->text.p[after];
    bool dotted = false;
    bool plain = true;
    for (size_t i = 0; i < m->secret.n; i++) {
        char c = m->secret.p[i];
        dotted = dotted || c == '.';
        plain = plain && (isalnum((unsigned char)c) || c == '_' || c == '.');
    }
    return next == '(' || next == '[' ||
           (plain && dotted && isalpha((unsigned char)m->secret.p[0]) &&
            makeup_of(m->secret).digit < 4);
}

/* Passwords are secrets whatever they look like; tokens and keys must look random. */
static bool is_password_key(struct al_str key)
{
    return starts_nocase(key, "pass") || starts_nocase(key, "pwd");
}

static bool quoted_secret(const struct al_redact_match *m)
{
    struct makeup k = makeup_of(m->secret);
    for (size_t i = 0; i < m->secret.n; i++)
        if (m->secret.p[i] == ' ')
            return false;
    if (is_password_key(m->key))
        return m->secret.n >= 4;
    bool path = m->secret.p[0] == '/' || m->secret.p[0] == '.';
    return !path && m->secret.n >= 8 &&
           (k.digit > 0 || (k.lower > 0 && k.upper > 0 && m->secret.n >= 16));
}

/* "KEY=value" from the first column, or behind export, ENV, -e. */
static bool is_env_line(const struct al_redact_match *m)
{
    size_t i = m->match_start;
    const char *p = m->text.p;
    if (m->start == 0 || p[m->start - 1] != '=')
        return false;
    while (i > 0 && (isupper((unsigned char)p[i - 1]) || isdigit((unsigned char)p[i - 1]) ||
                     p[i - 1] == '_'))
        i--;
    if (!isupper((unsigned char)p[i]))
        return false;
    if (i == 0 || p[i - 1] == '\n')
        return true;
    struct al_str before = {p + (i > 8 ? i - 8 : 0), i > 8 ? 8 : i};
    return al_str_ends(before, AL_STR("export ")) || al_str_ends(before, AL_STR("ENV ")) ||
           al_str_ends(before, AL_STR("-e "));
}

static bool bare_secret(const struct al_redact_match *m)
{
    struct makeup k = makeup_of(m->secret);
    if (is_code(m) || strchr("/~.-\\=", m->secret.p[0]))
        return false;
    if (is_env_line(m) && is_password_key(m->key))
        return m->secret.n >= 6;
    if (k.digit == 0 || k.lower + k.upper == 0)
        return false;
    if (is_password_key(m->key))
        return m->secret.n >= 6;
    bool random = m->secret.n >= 20 && k.upper >= 3 && k.lower >= 3;
    return m->secret.n >= 12 && (k.digit >= 2 || random);
}

/* The match begins inside a "[redacted:...]" of an earlier round. */
static bool is_redacted(const struct al_redact_match *m)
{
    size_t from = m->match_start > 40 ? m->match_start - 40 : 0;
    struct al_str before = al_str_sub(m->text, from, m->match_start - from);
    size_t open = al_str_find(before, AL_STR("[redacted:"), 0);
    for (size_t next = open; next != SIZE_MAX;
         next = al_str_find(before, AL_STR("[redacted:"), open + 1))
        open = next;
    return open != SIZE_MAX && al_str_find(before, AL_STR("]"), open) == SIZE_MAX;
}

static bool is_assigned_secret(const struct al_redact_match *m)
{
    if (is_redacted(m) || is_placeholder(m->secret))
        return false;
    return m->quoted ? quoted_secret(m) : bare_secret(m);
}

static bool is_url_password(const struct al_redact_match *m)
{
    return !is_placeholder(m->secret);
}

/* ---- what a text must have for a rule to match, cheap to see ---- */

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* A '=' behind 43 characters of base64. */
static bool may_have_fernet_key(struct al_str text)
{
    for (size_t at = 0; (at = al_str_find(text, AL_STR("="), at)) != SIZE_MAX; at++) {
        size_t n = 0;
        while (n < 43 && n < at && is_token_char(text.p[at - 1 - n]))
            n++;
        if (n == 43)
            return true;
    }
    return false;
}

/* Whether a word of KEYS may end in front of s[end]: by its last three letters. */
static bool may_end_key(struct al_str s, size_t end)
{
    static const char *const ends[] = {"ass", "ord", "swd", "pwd", "ase", "ode",
                                       "ret", "ken", "key", "ial", "als"};
    if (end < 3)
        return false;
    char last[3];
    for (size_t i = 0; i < 3; i++)
        last[i] = (char)tolower((unsigned char)s.p[end - 3 + i]);
    for (size_t i = 0; i < AL_ARRAY_LEN(ends); i++)
        if (memcmp(last, ends[i], 3) == 0)
            return true;
    return false;
}

/* The end of a key, up to four closing characters, up to sixteen of white space, and the sign. */
static bool is_behind_key(struct al_str s, size_t sign)
{
    size_t at = sign;
    while (at > 0 && sign - at < 16 && isspace((unsigned char)s.p[at - 1]))
        at--;
    size_t closed = at;
    while (at > 0 && closed - at < 4 && strchr("\\\"']", s.p[at - 1]) && s.p[at - 1])
        at--;
    return may_end_key(s, at);
}

static bool may_have_assignment(struct al_str text)
{
    for (size_t i = 0; i < text.n; i++)
        if ((text.p[i] == '=' || text.p[i] == ':') && is_behind_key(text, i))
            return true;
    return false;
}

/* "Q~" behind a digit. */
static bool may_have_azure_secret(struct al_str text)
{
    for (size_t at = 0; (at = al_str_find(text, AL_STR("~"), at)) != SIZE_MAX; at++)
        if (at >= 2 && text.p[at - 1] == 'Q' && isdigit((unsigned char)text.p[at - 2]))
            return true;
    return false;
}

/* "--" and a letter. */
static bool may_have_option(struct al_str text)
{
    for (size_t at = 0; (at = al_str_find(text, AL_STR("--"), at)) != SIZE_MAX; at++)
        if (at + 2 < text.n && isalpha((unsigned char)text.p[at + 2]))
            return true;
    return false;
}

/* The words that name a secret. Behind them stands at once a quote, a bracket, white space or the
 * sign. */
#define KEYS                                                                                      \
    "(?<k>(?<![a-z])pass(?:word|wd|phrase|code)?|password|passwd|(?<![a-z])pwd|secret|token|"     \
    "api[_-]?key|(?:access|secret|private|account|encryption|fernet|signing|auth|storage|master|" \
    "client)[_-]?key|credentials?)"

/* Characters of an unquoted value. */
#define BARE "[^\\s\"'`,;&|<>(){}\\[\\]\\\\]"

/* Any of them, in the words of KEYS. */
#define KEY_HINTS                                             \
    {                                                         \
        "pass", "pwd", "secret", "token", "key", "credential" \
    }

/* A border in front of a token of letters and digits. */
#define EDGE "(?<![A-Za-z0-9_])"

const struct al_redact_rule al_redact_rules[] = {
    {"private-key",
     "(?<v>-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
     "(?:(?:[^-]|-(?!----))*+-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
     "|[\\sA-Za-z0-9+/=\\\\]{40,32768}+))",
     NULL,
     {"private key"},
     NULL},
    {"private-key",
     "(?<v>PuTTY-User-Key-File-[23]:[^\\0]{40,8192}Private-MAC: [0-9a-f]{40,64})",
     NULL,
     {"private-mac"},
     NULL},
    {"aws-access-key",
     EDGE "(?<v>(?:AKIA|ASIA)[A-Z0-9]{16})(?![A-Za-z0-9])",
     NULL,
     {"akia", "asia"},
     NULL},
    {"gcp-key", EDGE "(?<v>AIza[A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])", NULL, {"aiza"}, NULL},
    {"gcp-key", EDGE "(?<v>GOCSPX-[A-Za-z0-9_-]{20,64})", NULL, {"gocspx-"}, NULL},
    {"gcp-token", EDGE "(?<v>ya29\\.[A-Za-z0-9_-]{20,2048})", NULL, {"ya29."}, NULL},
    {"azure-secret",
     EDGE "(?<v>[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34})(?![A-Za-z0-9_~.-])",
     NULL,
     {NULL},
     may_have_azure_secret},
    {"azure-secret", "(?i)[?&;]sig=(?<v>[A-Za-z0-9%+/=_-]{40,256})", NULL, {"sig="}, NULL},
    {"azure-secret",
     "(?i)(?:AccountKey|SharedAccessKey)\\s?=\\s?(?<v>[A-Za-z0-9+/=]{40,128})",
     NULL,
     {"accountkey", "sharedaccesskey"},
     NULL},
    {"github-token",
     EDGE "(?<v>gh[pousr]_[A-Za-z0-9]{20,255})",
     NULL,
     {"ghp_", "gho_", "ghu_", "ghs_", "ghr_"},
     NULL},
    {"github-token", EDGE "(?<v>github_pat_[A-Za-z0-9_]{22,255})", NULL, {"github_pat_"}, NULL},
    {"gitlab-token",
     EDGE "(?<v>gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat)-[A-Za-z0-9_-]{20,255})",
     NULL,
     {"glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-"},
     NULL},
    {"npm-token", EDGE "(?<v>npm_[A-Za-z0-9]{36,64})(?![A-Za-z0-9])", NULL, {"npm_"}, NULL},
    {"pypi-token", EDGE "(?<v>pypi-[A-Za-z0-9_-]{40,512})", is_mixed, {"pypi-"}, NULL},
    {"slack-token", EDGE "(?<v>xox[abeoprs]-[A-Za-z0-9-]{10,255})", has_digit, {"xox"}, NULL},
    {"slack-token", EDGE "(?<v>xapp-[0-9]-[A-Za-z0-9-]{10,255})", NULL, {"xapp-"}, NULL},
    {"slack-webhook",
     "hooks\\.slack\\.com/(?:services|workflows)/(?<v>[A-Za-z0-9_]{6,32}/[A-Za-z0-9_]{6,32}/"
     "[A-Za-z0-9_/]{16,128})",
     has_digit,
     {"hooks.slack.com/"},
     NULL},
    {"stripe-key",
     EDGE "(?<v>(?:[srp]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,255})",
     has_digit,
     {"k_live_", "k_test_", "whsec_"},
     NULL},
    {"api-key",
     EDGE "(?<!-)(?<v>sk-(?:proj-|ant-|or-|svcacct-)?[A-Za-z0-9_-]{20,255})",
     has_two_digits,
     {"sk-"},
     NULL},
    {"api-key", EDGE "(?<v>hf_[A-Za-z0-9]{30,64})", is_mixed, {"hf_"}, NULL},
    {"api-key", EDGE "(?<v>SG\\.[A-Za-z0-9_-]{16,32}\\.[A-Za-z0-9_-]{16,64})", NULL, {"sg."}, NULL},
    {"api-key", EDGE "(?<v>dapi[0-9a-f]{32})(?![0-9a-z])", NULL, {"dapi"}, NULL},
    {"api-key", EDGE "(?<v>do[opr]_v1_[0-9a-f]{64})", NULL, {"_v1_"}, NULL},
    {"api-key", EDGE "(?<v>hv[sbr]\\.[A-Za-z0-9_-]{24,255})", NULL, {"hvs.", "hvb.", "hvr."}, NULL},
    {"api-key", EDGE "(?<v>[0-9]{8,10}:AA[A-Za-z0-9_-]{33})(?![A-Za-z0-9_-])", NULL, {":aa"}, NULL},
    {"airlore-key",
     EDGE "(?<v>al_[A-Za-z0-9]{4,40}_[A-Za-z0-9]{16,128})(?![A-Za-z0-9_])",
     has_two_digits,
     {"al_"},
     NULL},
    {"jwt",
     EDGE "(?<v>eyJ[A-Za-z0-9_-]{10,4096}\\.eyJ[A-Za-z0-9_-]{6,8192}(?:\\.[A-Za-z0-9_-]{0,4096})?)",
     NULL,
     {"eyj"},
     NULL},
    {"authorization",
     "(?i)authorization[\\\\\"'\\]]{0,4}\\s{0,4}[:=,]\\s{0,4}[\\\\\"'f]{0,3}(?:bearer|basic|token)"
     "\\s{1,4}"
     "(?<v>[A-Za-z0-9._~+/=-]{8,4096})",
     has_digit,
     {"authorization"},
     NULL},
    {"authorization",
     EDGE "[Bb]earer\\s{1,2}(?<v>[A-Za-z0-9._~+/=-]{20,4096})",
     has_two_digits,
     {"earer"},
     NULL},
    {"fernet-key",
     "(?<![A-Za-z0-9_+/=-])(?<v>[A-Za-z0-9_-]{43}=)(?![A-Za-z0-9_+/=-])",
     is_mixed,
     {NULL},
     may_have_fernet_key},
    {"url-password",
     "://[^\\s/:@\"'`<>]{0,128}:(?<v>[^\\s/@\"'`<>]{1,256})@[A-Za-z0-9\\[{$<_-]",
     is_url_password,
     {"://"},
     NULL},
    {"password",
     "(?i)" KEYS "[\\\\\"'\\]]{0,4}\\s{0,16}"
     "(?:=>|:=|==?|:\\s{0,4}(?:str|Optional\\[str\\]|str \\| None)\\s{0,4}=|:)"
     "\\s{0,16}(?:[bfru]{0,2}\\\\{0,3}(?<q>[\"'])(?<v>[^\"'\\\\\\n]{1,1024}+)[\\\\\"']"
     "|(?<u>" BARE "{4,1024}+))",
     is_assigned_secret, KEY_HINTS, may_have_assignment},
    {"password",
     "(?i)--(?:[a-z-]{0,32}-)?" KEYS
     "\\s{1,4}(?:(?<q>[\"'])(?<v>[^\"'\\n]{1,1024}+)[\"']|(?<u>" BARE "{4,1024}+))",
     is_assigned_secret, KEY_HINTS, may_have_option},
};

const size_t al_redact_n_rules = AL_ARRAY_LEN(al_redact_rules);
