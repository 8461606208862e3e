#include "airlore/llm_chat.h"

#include "llm_int.h"

#define MESSAGES_MAX 64u
#define TOKENS_DEFAULT 1024u
#define LINE_BYTES_MAX (1u << 20)
#define OVERHEAD_BYTES 65536u /* of an answer around its text */

/* An answer while it comes. */
struct chatting {
    const struct al_llm_chat *chat;
    struct al_buf line; /* of the stream, not ended yet */
    struct al_buf text;
    bool cut;
    bool done; /* [DONE] came */
    uint64_t tokens_in;
    uint64_t tokens_out;
};

static enum al_code bad_answer(struct al_err *err, const char *what)
{
    return AL_FAIL_R(err, AL_DATA_LOSS, "BAD_ANSWER", "chat: %s", what);
}

static enum al_code add_text(struct chatting *x, struct al_str part, struct al_err *err)
{
    if (part.n > AL_LLM_ANSWER_BYTES_MAX - x->text.n)
        return AL_FAIL_R(err, AL_RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE",
                         "chat: an answer of more than %u bytes", AL_LLM_ANSWER_BYTES_MAX);
    al_buf_str(&x->text, part);
    AL_TRY(al_buf_status(&x->text, err));
    if (part.n > 0 && x->chat->on_text && !x->chat->on_text(x->chat->u, part))
        return AL_FAIL(err, AL_CANCELLED, "chat: cancelled");
    return AL_OK;
}

/* The parts of an answer that both forms share: finish_reason, usage. */
static void take_rest(struct chatting *x, const json_t *v, const json_t *choice)
{
    const char *reason = json_string_value(json_object_get(choice, "finish_reason"));
    const json_t *usage = json_object_get(v, "usage");
    json_int_t in = json_integer_value(json_object_get(usage, "prompt_tokens"));
    json_int_t out = json_integer_value(json_object_get(usage, "completion_tokens"));
    x->cut = x->cut || (reason && al_str_is(al_str_c(reason), "length"));
    x->tokens_in = in > 0 ? (uint64_t)in : x->tokens_in;
    x->tokens_out = out > 0 ? (uint64_t)out : x->tokens_out;
}

static struct al_str json_text(const json_t *v)
{
    return (struct al_str){json_is_string(v) ? json_string_value(v) : "",
                           json_is_string(v) ? json_string_length(v) : 0};
}

/* {"choices":[{"delta":{"content":"..."}}]}; the last one has usage and no choice. */
static enum al_code take_event(struct chatting *x, struct al_str data, struct al_err *err)
{
    json_t *v = NULL;
    if (al_str_is(data, "[DONE]")) {
        x->done = true;
        return AL_OK;
    }
    AL_TRY(al_llm_parse(data, &v, err));
    const json_t *choice = json_array_get(json_object_get(v, "choices"), 0);
    const json_t *content = json_object_get(json_object_get(choice, "delta"), "content");
    take_rest(x, v, choice);
    enum al_code code = add_text(x, json_text(content), err);
    json_decref(v);
    return code;
}

/* One line of the event stream: only "data:" matters. */
static enum al_code take_line(struct chatting *x, struct al_str line, struct al_err *err)
{
    line = al_str_trim(line);
    if (x->done || !al_str_starts(line, AL_STR("data:")))
        return AL_OK;
    return take_event(x, al_str_trim(al_str_sub(line, 5, line.n)), err);
}

static enum al_code on_body(void *u, const struct al_http_response *head, struct al_str part,
                            struct al_err *err)
{
    struct chatting *x = u;
    (void)head;
    while (part.n > 0) {
        size_t end = al_str_find(part, AL_STR("\n"), 0);
        struct al_str piece = al_str_sub(part, 0, end == SIZE_MAX ? part.n : end);
        if (piece.n > LINE_BYTES_MAX - x->line.n)
            return bad_answer(err, "a line of the stream is too long");
        al_buf_str(&x->line, piece);
        AL_TRY(al_buf_status(&x->line, err));
        if (end == SIZE_MAX)
            return AL_OK;
        AL_TRY(take_line(x, al_buf_view(&x->line), err));
        al_buf_reset(&x->line);
        part = al_str_sub(part, end + 1, part.n);
    }
    return AL_OK;
}

static enum al_code take_whole(struct chatting *x, struct al_str body, struct al_err *err)
{
    json_t *v = NULL;
    AL_TRY(al_llm_parse(body, &v, err));
    const json_t *choice = json_array_get(json_object_get(v, "choices"), 0);
    const json_t *content = json_object_get(json_object_get(choice, "message"), "content");
    enum al_code code = json_is_string(content) ? add_text(x, json_text(content), err)
                                                : bad_answer(err, "no choice with a text");
    take_rest(x, v, choice);
    json_decref(v);
    return code;
}

static const char *role_name(enum al_llm_role r)
{
    return r == AL_LLM_SYSTEM ? "system" : r == AL_LLM_USER ? "user" : "assistant";
}

/* Moves messages. */
static json_t *request_json(const struct al_llm *l, const struct al_llm_chat *c, json_t *messages)
{
    json_t *v =
        json_pack("{s:s, s:o, s:I, s:f, s:b}", "model", al_llm_model(l), "messages", messages,
                  "max_tokens", (json_int_t)(c->tokens_max ? c->tokens_max : TOKENS_DEFAULT),
                  "temperature", c->temperature, "stream", c->on_text != NULL);
    if (v && c->on_text)
        (void)json_object_set_new(v, "stream_options", json_pack("{s:b}", "include_usage", 1));
    return v;
}

static enum al_code request_of(const struct al_llm *l, const struct al_llm_chat *c,
                               struct al_arena *a, struct al_str *ret, struct al_err *err)
{
    json_t *messages = json_array();
    bool good = messages != NULL;
    for (size_t i = 0; good && i < c->n_messages; i++) {
        struct al_str t = c->messages[i].text;
        if (!al_str_is_utf8(t)) {
            json_decref(messages);
            return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_UTF8", "message %zu: is not UTF-8", i);
        }
        json_t *m = json_pack("{s:s, s:o}", "role", role_name(c->messages[i].role), "content",
                              json_stringn(t.p ? t.p : "", t.n));
        good = m && json_array_append_new(messages, m) == 0;
    }
    if (!good) {
        json_decref(messages);
        return AL_FAIL(err, AL_RESOURCE_EXHAUSTED, "chat: out of memory");
    }
    return al_llm_dump(request_json(l, c, messages), a, ret, err);
}

static enum al_code check(const struct al_llm_chat *c, struct al_err *err)
{
    if (c->n_messages < 1 || c->n_messages > MESSAGES_MAX)
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION", "chat: not 1 to %u messages",
                         MESSAGES_MAX);
    if (!(c->temperature >= 0 && c->temperature <= 2))
        return AL_FAIL_R(err, AL_INVALID_ARGUMENT, "BAD_OPTION", "chat: temperature not 0 to 2");
    return AL_OK;
}

static bool cancel(void *u)
{
    const struct chatting *x = u;
    return x->chat->cancel && x->chat->cancel(x->chat->u);
}

static enum al_code talk(struct al_llm *l, struct chatting *x, const struct al_str *request,
                         struct al_arena *a, struct al_err *err)
{
    uint32_t tokens_max = x->chat->tokens_max ? x->chat->tokens_max : TOKENS_DEFAULT;
    struct al_str body = {0};
    struct al_llm_call call = {.path = "/chat/completions",
                               .body = *request,
                               .tokens_max = al_llm_guess_tokens(request->n) + tokens_max,
                               .response_bytes_max =
                                   (size_t)AL_LLM_ANSWER_BYTES_MAX * 8 + OVERHEAD_BYTES,
                               .deadline_ns = x->chat->deadline_ns,
                               .on_body = x->chat->on_text ? on_body : NULL,
                               .cancel = cancel,
                               .u = x};
    AL_TRY(al_llm_post(l, &call, a, &body, err));
    if (!x->chat->on_text)
        return take_whole(x, body, err);
    AL_TRY(take_line(x, al_buf_view(&x->line), err)); /* a last line without its end */
    return x->done ? AL_OK : bad_answer(err, "the stream ended early");
}

enum al_code al_llm_chat(struct al_llm *l, const struct al_llm_chat *chat, struct al_arena *a,
                         struct al_llm_answer *ret, struct al_err *err)
{
    struct chatting x = {.chat = chat};
    struct al_str request = {0};
    AL_TRY(check(chat, err));
    AL_TRY(request_of(l, chat, a, &request, err));
    al_buf_init(&x.line, al_arena_mem(a), 0);
    al_buf_init(&x.text, al_arena_mem(a), 0);
    enum al_code code = talk(l, &x, &request, a, err);
    if (code != AL_OK && x.text.n == 0)
        return code;
    /* what was written was paid for, whole or not */
    uint64_t in = x.tokens_in ? x.tokens_in : al_llm_guess_tokens(request.n);
    uint64_t out = x.tokens_out ? x.tokens_out : al_llm_guess_tokens(x.text.n);
    double cost = al_llm_count(l, in, out);
    if (code != AL_OK)
        return code;
    *ret = (struct al_llm_answer){al_buf_view(&x.text), x.cut, in, out, cost};
    return AL_OK;
}
