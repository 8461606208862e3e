#include "airlore/redact.h"

#include <stdlib.h>
#include <string.h>

#include "airlore/testing.h"
#include "redact_rules.h"
#include "text_fill.h"

#define LIMIT ((size_t)64 << 20)

/* The parts are glued together here so that no scanner of sources takes the cases for secrets. */
static const struct {
    const char *name;
    const char *in;
    const char *out;
} secrets[] = {
    {"contract",
     "timeout. token=gh"
     "p_0123456789abcdefghijABCDEFGHIJ012345",
     "timeout. token=[redacted:github-token]"},
    {"GitHub fine-grained",
     "x github"
     "_pat_11ABCDEFG0123456789abcd_xyz y",
     "x [redacted:github-token] y"},
    {"GitLab",
     "use gl"
     "pat-ABCdef123456789012345.",
     "use [redacted:gitlab-token]."},
    {"npm",
     "npm"
     "_abcdefghijklmnopqrstuvwxyz0123456789",
     "[redacted:npm-token]"},
    {"PyPI",
     "pypi"
     "-AgEIcHlwaS5vcmcCJDU0ZmI4ZjY5LTk3NzYtNDk5Zi1iN2M4LTEyMzQ",
     "[redacted:pypi-token]"},
    {"Slack",
     "bot xox"
     "b-123456789012-abcdefGHIJKL",
     "bot [redacted:slack-token]"},
    {"Slack hook", "https://hooks.slack.com/services/T00000001/B00000001/abcdefghijklmnop1234567",
     "https://hooks.slack.com/services/[redacted:slack-webhook]"},
    {"Stripe",
     "sk"
     "_live_4eC39HqLyjWDarjtT1zdp7dc",
     "[redacted:stripe-key]"},
    {"OpenAI",
     "key sk"
     "-proj-abcdEFGH1234ijklMNOP5678",
     "key [redacted:api-key]"},
    {"Hugging Face",
     "hf"
     "_AbCdEfGhIjKlMnOpQrStUvWxYz012345",
     "[redacted:api-key]"},
    {"AWS id",
     "id AKI"
     "AIOSFODNN7EXAMPLE.",
     "id [redacted:aws-access-key]."},
    {"AWS secret", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
     "aws_secret_access_key = [redacted:password]"},
    {"Google",
     "AIz"
     "aSyA1234567890abcdefghijklmnopqrstuv",
     "[redacted:gcp-key]"},
    {"Azure account",
     "AccountName=x;AccountKey"
     "=abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefghijklmnopqrstuvwx==;E="
     "1",
     "AccountName=x;AccountKey=[redacted:azure-secret];E=1"},
    {"Azure signature", "https://x.net/c?sv=1&sig=abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG%3D&e",
     "https://x.net/c?sv=1&sig=[redacted:azure-secret]&e"},
    {"JWT",
     "t ey"
     "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0",
     "t [redacted:jwt]"},
    {"private key",
     "a\n-----BEGIN RSA PRIVATE"
     " KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE"
     " KEY-----\nb",
     "a\n[redacted:private-key]\nb"},
    {"service account",
     "\"private_key\": \"-----BEGIN PRIVATE"
     " KEY-----\\nMIIE\\n-----END PRIVATE"
     " KEY-----\\n\",",
     "\"private_key\": \"[redacted:private-key]\\n\","},
    {"URL", "postgresql+psycopg2://airflow:s3cr3t@db:5432/airflow",
     "postgresql+psycopg2://airflow:[redacted:url-password]@db:5432/airflow"},
    {"Airflow connection", "AIRFLOW_CONN_DB='mysql://login:passw0rd@host:3306/schema?charset=utf8'",
     "AIRFLOW_CONN_DB='mysql://login:[redacted:url-password]@host:3306/schema?charset=utf8'"},
    {"connection as JSON", "{\"login\": \"u\", \"password\": \"hunter2x\", \"port\": 1}",
     "{\"login\": \"u\", \"password\": \"[redacted:password]\", \"port\": 1}"},
    {"JSON in a string", "{\\\"password\\\": \\\"hunter2x\\\"}",
     "{\\\"password\\\": \\\"[redacted:password]\\\"}"},
    {"assignment", "DB_PASSWORD = 'correct-horse'", "DB_PASSWORD = '[redacted:password]'"},
    {"bare assignment", "password=hunter2x and more", "password=[redacted:password] and more"},
    {"YAML", "  password: hunter2x\n  port: 1", "  password: [redacted:password]\n  port: 1"},
    {"typed", "password: str = \"hunter2x\"", "password: str = \"[redacted:password]\""},
    {"environment", "export DB_PASSWORD=correcthorse\nX=1",
     "export DB_PASSWORD=[redacted:password]\nX=1"},
    {"option", "airflow users create --password hunter2x --role Admin",
     "airflow users create --password [redacted:password] --role Admin"},
    {"API key", "api_key: 9f86d081884c7d659a2feaa0c55ad015", "api_key: [redacted:password]"},
    {"header", "Authorization: Bearer abcdef0123456789",
     "Authorization: Bearer [redacted:authorization]"},
    {"basic", "-H 'Authorization: Basic YWRtaW46YWRtaW4x'",
     "-H 'Authorization: Basic [redacted:authorization]'"},
    {"Fernet", "key fB9zT3WkYq0rJ7uXnL2mVc5sD8aH1gPeQiRoKt4yZxw= end",
     "key [redacted:fernet-key] end"},
    {"own key",
     "al"
     "_7f3k2_AbCdEfGh12345678ijklMNOP",
     "[redacted:airlore-key]"},
    {"two", "password=hunter2x password=hunter3x",
     "password=[redacted:password] password=[redacted:password]"},
    {"malformed bytes around", "\xFF password=hunter2x \xC3",
     "\xFF password=[redacted:password] \xC3"},
};

static const char *const harmless[] = {
    "",
    "The token is sent with each request; the secret never leaves the server.",
    "password = get_password()",
    "password=get_password(\"db\")",
    "token=None",
    "token: str | None = None",
    "password=conn.password, host=conn.host",
    "password=self.conn2.password",
    "{{ var.value.token }}",
    "token=\"{{ var.value.api_token_1 }}\"",
    "password: ${DB_PASSWORD_1}",
    "password: \"$DB_PASSWORD1\"",
    "password=<your-password-1>",
    "password: '********'",
    "secret_name: my-secret-2024-01",
    "token_url: https://login.example.com/oauth2/token1",
    "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    "Fixed in 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12 (#12345)",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "https://example.com:8080/a@b",
    "git@github.com:apache/airflow.git",
    "postgresql://{user}:{password}@host/db",
    "postgresql://airflow:${PASS}@host/db",
    "primary_key=True, foreign_key=1234567890123",
    "password must be at least 12 characters",
    "Password: required",
    "airflow config get-value core fernet_key",
    "from airflow.models import Variable as secret1",
    "task-sk-learn-pipeline-example-for-beginners",
    "from airflow.providers.postgres.hooks.postgres import PostgresHook",
    "xox is not a token, and eyJ is not a JWT",
    "al_analyzer_acquire and al_arena_alloc_everything_there_is",
    "The pair -----BEGIN PRIVATE KEY----- starts a block.",
    "[redacted:password] and token=[redacted:github-token]",
    "\"[redacted:password]\": \"hunter2x\"",
    "os.environ[\"DB_PASSWORD\"]",
    "Variable.get(\"secret_token\", default_var=None)",
};

static struct al_str run(struct al_arena *a, struct al_str in, uint32_t *n)
{
    struct al_err err = {0};
    struct al_str out = {NULL, 0};
    AL_CHECK_OK(al_redact(in, a, &out, n, &err), err);
    return out;
}

static void test_secrets(void **state)
{
    (void)state;
    struct al_arena a;
    al_arena_init(&a, NULL, LIMIT);
    for (size_t i = 0; i < AL_ARRAY_LEN(secrets); i++) {
        uint32_t n = 0;
        struct al_str out = run(&a, al_str_c(secrets[i].in), &n);
        if (!al_str_is(out, secrets[i].out))
            fail_msg("case '%s': got '" AL_STR_FMT "'", secrets[i].name, AL_STR_ARG(out));
        AL_CHECK(secrets[i].name, n >= 1);
        struct al_str again = run(&a, out, &n);
        AL_CHECK(secrets[i].name, n == 0 && again.p == out.p && again.n == out.n);
    }
    al_arena_fini(&a);
}

static void test_harmless(void **state)
{
    (void)state;
    struct al_arena a;
    al_arena_init(&a, NULL, LIMIT);
    for (size_t i = 0; i < AL_ARRAY_LEN(harmless); i++) {
        uint32_t n = 1;
        struct al_str in = al_str_c(harmless[i]);
        struct al_str out = run(&a, in, &n);
        if (n != 0 || out.p != in.p)
            fail_msg("'%s' became '" AL_STR_FMT "'", harmless[i], AL_STR_ARG(out));
    }
    al_arena_fini(&a);
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Pieces of the cases, cut, glued and changed a little. */
static struct al_str glue(uint64_t *seed, char *buf, size_t max)
{
    size_t n = 0;
    uint32_t pieces = next_random(seed) % 6 + 1;
    for (uint32_t i = 0; i < pieces; i++) {
        const char *from = next_random(seed) % 4
                               ? secrets[next_random(seed) % AL_ARRAY_LEN(secrets)].in
                               : harmless[next_random(seed) % AL_ARRAY_LEN(harmless)];
        struct al_str piece = al_str_c(from);
        if (next_random(seed) % 4 == 0)
            piece = al_str_sub(piece, next_random(seed) % (piece.n + 1), piece.n);
        piece.n = piece.n < max - n ? piece.n : max - n;
        memcpy(buf + n, piece.p, piece.n);
        n += piece.n;
    }
    for (uint32_t i = next_random(seed) % 8; n > 0 && i > 0; i--) {
        size_t at = next_random(seed) % n;
        buf[at] = next_random(seed) % 2 ? (char)(buf[at] ^ 0x20) : (char)next_random(seed);
    }
    return (struct al_str){buf, n};
}

/* Leaving out the rules that cannot match changes nothing. */
static void test_hints_change_nothing(void **state)
{
    (void)state;
    uint64_t seed = 20261129;
    uint32_t found = 0;
    char buf[4096];
    for (uint32_t round = 0; round < 4000; round++) {
        struct al_arena a;
        struct al_str all = {NULL, 0};
        uint32_t n = 0;
        uint32_t n_all = 0;
        al_arena_init(&a, NULL, LIMIT);
        struct al_str in = glue(&seed, buf, sizeof(buf));
        struct al_str out = run(&a, in, &n);
        assert_int_equal(al_redact_run(in, true, &a, &all, &n_all, NULL), AL_OK);
        if (n != n_all || !al_str_eq(out, all))
            fail_msg("round %u: '" AL_STR_FMT "' became '" AL_STR_FMT "', all rules: '" AL_STR_FMT
                     "'",
                     round, AL_STR_ARG(in), AL_STR_ARG(out), AL_STR_ARG(all));
        found += n;
        al_arena_fini(&a);
    }
    assert_true(found > 1000);
}

/* Texts made to cost much: they finish, or are refused by name. */
static void test_costly_texts(void **state)
{
    (void)state;
    static const char *const fills[] = {"a",           "-----BEGIN RSA PRIVATE KEY-----",
                                        "password=",   "://a:",
                                        "eyJa.",       "token\"'",
                                        "=",           "\n",
                                        "--password ", "sk-",
                                        "A1b2",        "\xFF",
                                        "[redacted:",  "authorization: bearer "};
    size_t max = 1u << 20;
    char *text = malloc(max);
    assert_non_null(text);
    for (size_t i = 0; i < AL_ARRAY_LEN(fills); i++) {
        struct al_arena a;
        struct al_str out = {NULL, 0};
        uint32_t n = 0;
        struct al_err err = {0};
        struct al_str in = text_fill(text, max, fills[i]);
        al_arena_init(&a, NULL, LIMIT * 4);
        enum al_code code = al_redact(in, &a, &out, &n, &err);
        AL_CHECK(fills[i], code == AL_OK || (code == AL_INVALID_ARGUMENT &&
                                             strcmp(err.reason, "REDACTION_LIMIT") == 0));
        al_arena_fini(&a);
    }
    free(text);
}

static void test_arena_limits(void **state)
{
    (void)state;
    struct al_str in = AL_STR("password=hunter2x, token=gh"
                              "p_0123456789abcdefghijABCDEFGHIJ012345");
    for (size_t limit = 1;; limit += 16) {
        struct al_arena a;
        struct al_str out = {NULL, 0};
        uint32_t n = 99;
        al_arena_init(&a, NULL, limit);
        enum al_code code = al_redact(in, &a, &out, &n, NULL);
        al_arena_fini(&a);
        if (code == AL_OK)
            return;
        assert_int_equal(code, AL_RESOURCE_EXHAUSTED);
        assert_null(out.p);
        assert_int_equal(n, 99);
        assert_true(limit < 65536);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_harmless),
        cmocka_unit_test(test_hints_change_nothing),
        cmocka_unit_test(test_costly_texts),
        cmocka_unit_test(test_arena_limits),
    };
    return cmocka_run_group_tests_name("text.redact", tests, NULL, NULL);
}
