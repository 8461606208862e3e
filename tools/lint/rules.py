"""The tables behind the checks. A new dependency is a line here and a decision record, or it does not pass."""

from __future__ import annotations

FUNCTION_LINES = 70
FILE_LINES = 800

# Function -> what to use instead.
BANNED = {
    "strcpy": "no bound; al_buf or memcpy with a known size",
    "strcat": "no bound; al_buf",
    "strncpy": "leaves texts unterminated; snprintf or memcpy",
    "strncat": "its bound is not what it seems; al_buf",
    "sprintf": "no bound; snprintf or al_buf",
    "vsprintf": "no bound; vsnprintf",
    "strtok": "hidden state; al_str_split",
    "atoi": "no error; al_str_u64",
    "atol": "no error; al_str_u64",
    "atoll": "no error; al_str_u64",
    "atof": "no error; al_str_f64",
    "strtol": "easily misread; al_str_u64",
    "gmtime": "shared state; gmtime_r",
    "localtime": "shared state and the machine's zone; gmtime_r",
    "ctime": "shared state",
    "asctime": "shared state",
    "rand": "weak and shared; the random port",
    "srand": "weak and shared; the random port",
    "alloca": "no bound; an arena",
    "system": "a shell; posix_spawn",
    "popen": "a shell; posix_spawn",
    "gets": "no bound",
    "mktemp": "a race; mkdtemp",
    "tmpnam": "a race; mkdtemp",
}
# Where one of them is needed all the same, and why.
BANNED_ALLOWED: dict[str, tuple[str, ...]] = {
    "strtol": ("lib/base/str.c", "lib/base/config_value.c", "*_test.c"),  # the parsers; numbers read back
}

# Layer -> layers whose public headers it may include and whose targets it may link. Lower layers first.
LAYERS: dict[str, tuple[str, ...]] = {
    "proto": (),
    "lib/base": (),
    "tests/support": ("lib/base",),
    "lib/http": ("lib/base",),
    "lib/llm": ("lib/base", "lib/http"),
    "lib/rpc": ("lib/base", "proto"),
    "lib/coord": ("lib/base",),
    "lib/text": ("lib/base",),
    "lib/learn": ("lib/base", "lib/text"),
    "lib/pydag": ("lib/base", "lib/text"),
    "lib/airflow": ("lib/base", "lib/http"),
    "shard": ("lib/base", "lib/text"),
    "node": ("lib/base", "lib/text", "proto", "lib/rpc", "shard"),
    # The coordinator talks to shards through a port; docs/decisions/0009 says why it sees their types.
    "coordinator": ("lib/base", "lib/text", "proto", "lib/rpc", "lib/coord", "lib/http", "lib/llm", "lib/learn", "lib/pydag",
                    "lib/airflow", "shard"),
    "airlored": ("lib/base", "lib/text", "proto", "lib/rpc", "lib/coord", "lib/http", "lib/llm", "shard", "node", "coordinator"),
    "clients/c": ("lib/base", "proto", "lib/rpc"),
    "clients/sources": ("lib/base",),
    "clients/cli": ("lib/base", "proto", "clients/c", "clients/sources"),
    # The quality harness runs queries in process, through the coordinator's own functions.
    "bench": ("lib/base", "lib/text", "proto", "lib/rpc", "lib/coord", "shard", "coordinator", "clients/c"),
    "tests": ("lib/base", "lib/text", "proto", "lib/rpc", "lib/coord", "shard", "node", "coordinator", "clients/c",
              "tests/support"),
}
# (layer, layer it uses) -> the only headers of it that it may include.
NARROW: dict[tuple[str, str], tuple[str, ...]] = {
    ("coordinator", "shard"): ("airlore/doc.h", "airlore/filter.h", "airlore/shard.h", "airlore/shard_port.h"),
}
# CMake target (al::NAME) -> layer.
TARGETS = {
    "proto": "proto", "base": "lib/base", "testing": "tests/support", "http": "lib/http", "llm": "lib/llm", "rpc": "lib/rpc", "coord": "lib/coord",
    "coord_conformance": "lib/coord", "text": "lib/text", "learn": "lib/learn", "pydag": "lib/pydag", "airflow": "lib/airflow",
    "shard": "shard", "node": "node", "coordinator": "coordinator", "client": "clients/c",
    "airlored": "airlored", "sources": "clients/sources", "cli": "clients/cli",
}
HELPER_TARGETS = {"warnings", "sanitize", "testing"}

# Vendor header (a trailing slash: everything below) -> the files that adapt it. One vendor, one place.
VENDORS: dict[str, tuple[str, ...]] = {
    "grpc/": ("lib/rpc/*",),
    "protobuf-c/": ("lib/rpc/*", "proto/*", "clients/cli/json_out.*"),
    "rocksdb/": ("shard/store_rocksdb.c",),
    "faiss/": ("shard/faiss_shim.cpp", "bench/vectors_faiss.c"),  # the bench compares with FAISS as its users have it
    "omp.h": ("shard/faiss_shim.cpp",),
    "cblas.h": ("shard/faiss_shim.cpp",),
    "roaring/": ("shard/*",),
    "curl/": ("lib/http/http_curl.c", "clients/sources/web_curl.c", "lib/coord/coord_etcd_curl.c"),
    "archive.h": ("clients/sources/archive.c",),
    "archive_entry.h": ("clients/sources/archive.c",),
    "git2.h": ("clients/sources/git.c",),
    "expat.h": ("clients/sources/xml_expat.c",),
    "poppler.h": ("clients/sources/pdf_child.c",),
    "microhttpd.h": ("node/http.c", "airlored/http.c", "coordinator/http.c"),
    "yaml.h": ("lib/base/config_yaml.c", "lib/text/frontmatter.c"),
    "cmark-gfm.h": ("lib/text/markdown.c",),
    "cmark-gfm-core-extensions.h": ("lib/text/markdown.c",),
    "cmark-gfm-extension_api.h": ("lib/text/markdown.c",),
    "gumbo.h": ("lib/text/html.c",),
    "pcre2.h": ("lib/text/redact.c",),
    "tree_sitter/": ("lib/text/python.c",),
    "libstemmer.h": ("lib/text/analyzer.c",),
    "utf8proc.h": ("lib/text/unicode.c",),
    "cld2/": ("lib/text/lang_cld2.cpp",),
    "jansson.h": ("lib/text/notebook.c", "lib/coord/coord_etcd_json.c", "lib/llm/*", "clients/cli/*",
                  "clients/sources/bucket_gcs.c", "airlored/runtime_file.c", "bench/*"),
    "openssl/": (),
    # Hash functions: no state, no handles, no errors; used where a hash is needed.
    "sodium.h": ("lib/text/embedder.c", "coordinator/key_text.c", "coordinator/prepare.c",
                 "airlored/admin_key.c", "coordinator/page.c"),
    "xxhash.h": ("shard/*", "coordinator/seen.c", "clients/cli/ingest_feed.c", "clients/sources/*"),
    "cmocka.h": ("tests/support/*",),
}
VENDORS_IN_TESTS = ("*_test.c", "*fixture*", "tests/*", "*conformance*", "*_fuzz.c")

# Reasons that no client ever sees over the wire, and so are not in the contract.
LOCAL_REASONS = {
    "BAD_CONFIG": "the configuration file; airlored ends with it before it serves",
    "ADDRESS_IN_USE": "at the start of a server",
    "BAD_DESCRIPTOR_SET": "at the start of a server",
    "BAD_OPTION": "at the start of a server",
    "BAD_TLS": "at the start of a server or client",
    "IN_USE": "at the start of a server: another one has the folder",
    "SHARD_MISMATCH": "at the start of a server: the folder is of another shard",
    "STREAM_ENDED": "in the client library: written after the end",
    "ARCHIVE_BOMB": "in the command line: an archive unpacks to too much",
    "BAD_ARCHIVE": "in the command line: an archive is damaged",
    "BAD_JSON": "in the command line: JSON is none",
    "BAD_PATH": "in the command line: a path in a source leads out",
    "BAD_REDIRECT": "in the command line: a page is redirected nowhere",
    "BAD_REPOSITORY": "in the command line: a repository cannot be read",
    "BAD_URL": "in the command line: an address is none",
    "BAD_XML": "in the command line: XML is none",
    "GONE": "in the command line: a page or object is no longer there",
    "HTTP_STATUS": "in the command line: a server answered with an error",
    "PRIVATE_ADDRESS": "in the command line: a redirect leads to a private address",
    "ROBOTS_DENIED": "in the command line: robots.txt says no",
    "TOO_DEEP": "in the command line: a path or XML is nested too deeply",
    "UNREADABLE": "in the command line: a file cannot be read",
    "BAD_PDF": "in the command line: a PDF cannot be read",
    "BAD_DUMP": "in the command line: a dump cannot be read",
    "SEGMENT_STALE": "inside a shard: the segment is rebuilt",
    "BAD_ANSWER": "between the server and its coordination store",
    "BAD_TXN": "between the server and its coordination store",
    "CLAIM_LOST": "between the server and its coordination store",
    "COORD_UNAVAILABLE": "between the server and its coordination store",
    "DUPLICATE_KEY": "between the server and its coordination store",
    "FENCED": "between the server and its coordination store",
    "JOB_CHANGED": "between the server and its coordination store",
    "LEASE_LOST": "between the server and its coordination store",
    "NO_LEADER": "between the server and its coordination store",
    "NO_SPACE": "between the server and its coordination store",
    "QUEUE_EMPTY": "between the server and its coordination store",
    "TXN_TOO_LARGE": "between the server and its coordination store",
    "BAD_PULL": "between replicas, which do not talk yet",
    "BAD_RECORD": "between replicas, which do not talk yet",
    "BAD_REPLY": "between replicas, which do not talk yet",
    "BAD_SET": "between replicas, which do not talk yet",
    "NOT_ENOUGH_REPLICAS": "between replicas, which do not talk yet",
    "EPOCH_BEGINS": "between replicas, which do not talk yet",
    "NOT_CAUGHT_UP": "between replicas, which do not talk yet",
    "SET_PENDING": "between replicas, which do not talk yet",
    "EPOCH_STALE": "between replicas, which do not talk yet",
    "TAIL_FULL": "between replicas, which do not talk yet",
    "BAD_CHECKPOINT": "between replicas, which do not talk yet",
    "CHECKPOINT_STALE": "between replicas, which do not talk yet",
    "RESTORE_STALE": "between replicas, which do not talk yet",
    "STORE_UUID_MISMATCH": "between replicas, which do not talk yet",
}

# Checks of clang-tidy that say nothing useful about tests: the analyzer does not know that a failed assertion ends the test,
# and tests multiply small numbers and compare bytes on purpose.
TIDY_NOT_IN_TESTS = (
    "bugprone-implicit-widening-of-multiplication-result", "bugprone-misplaced-widening-cast", "bugprone-signal-handler",
    "cert-err34-c", "misc-misleading-bidirectional", "readability-identifier-naming",
    "clang-analyzer-optin.portability.UnixAPI", "bugprone-suspicious-memory-comparison", "bugprone-suspicious-string-compare",
    "bugprone-macro-parentheses", "clang-analyzer-core.NullDereference", "clang-analyzer-core.NonNullParamChecker",
    "clang-analyzer-core.UndefinedBinaryOperatorResult", "clang-analyzer-core.uninitialized.Assign",
    "clang-analyzer-core.CallAndMessage", "clang-analyzer-unix.Malloc", "concurrency-thread-canceltype-asynchronous",
)

# Functions with more parameters than .clang-tidy allows, and how many. Each is to get an options struct; no new ones.
PARAMETERS_KNOWN: dict[str, int] = {
    "airlored/http.c:answer": 8,
    "coordinator/convert.c:al_resolve_target": 7,
    "coordinator/fault_port.c:f_explain": 7,
    "coordinator/fault_port.c:f_get_doc": 7,
    "coordinator/fault_port.c:f_get_row": 8,
    "coordinator/fault_port.c:f_scan_rows": 10,
    "coordinator/fault_port.c:f_stats": 8,
    "coordinator/fault_port.c:f_write": 8,
    "coordinator/items.c:al_items_get": 8,
    "coordinator/items.c:delete_in": 7,
    "coordinator/items.c:get_in": 7,
    "coordinator/items.c:get_nearest": 7,
    "coordinator/jobs.c:al_jobs_submit": 8,
    "coordinator/jobs.c:al_jobs_wait": 7,
    "coordinator/prepare.c:al_item_prepare": 8,
    "coordinator/service_ingest.c:check_one": 7,
    "coordinator/service_ingest.c:list_page": 7,
    "coordinator/service_jobs.c:submit": 7,
    "shard/port_local.c:local_explain": 7,
    "shard/port_local.c:local_get_doc": 7,
    "shard/port_local.c:local_get_row": 8,
    "shard/port_local.c:local_scan_rows": 10,
    "shard/port_local.c:local_stats": 8,
    "shard/port_local.c:local_write": 8,
    "shard/shard_apply.c:al_apply_find_write_id": 7,
    "shard/shard_read.c:al_shard_get_doc": 7,
    "shard/shard_read.c:al_shard_get_row": 8,
    "shard/shard_read.c:al_shard_scan_rows": 10,
    "shard/shard_read.c:read_doc": 7,
    "shard/shard_search.c:al_shard_explain": 7,
    "shard/shard_search.c:al_shard_stats": 8,
    "shard/shard_upkeep.c:load_doc": 7,
    "shard/shard_write.c:al_shard_write": 8,
}
