"""What faults.py does not find by itself: through which function something is tested, or why it is not."""

# Fuzz targets that begin with a good input of their own making and edit it.
MAKE_THEIR_OWN = {"segment", "index"}

# Decoder -> the function of a fuzz target that calls it.
FUZZED_THROUGH = {
    "al_config_load": "al_config_parse",
    "al_settings_load": "al_config_parse",
    "al_html_read": "al_document_read",
    "al_markdown_read": "al_document_read",
    "al_notebook_read": "al_document_read",
    "al_pdf_read": "al_pdf_parse",
    "al_python_read": "al_document_read",
    "al_rst_read": "al_document_read",
    "al_rpc_decode": "al_rpc_unpack",
    "al_rpc_read": "al_rpc_unpack",
    "al_rpc_stream_read": "al_rpc_unpack",
    "al_rpc_stream_on_read": "al_rpc_unpack",
    "al_sealed_load": "al_segset_load",
    "al_hnsw_read": "al_index_named",
}
NOT_FUZZED = {
    "al_bench_queries_read": "the benchmark's own file",
    "al_cli_list_read": "reads pages of a server, not bytes: what comes is decoded by al_rpc_unpack",
    "al_cli_parse": "words of who runs it: tables of good and bad ones in options_test.c",
    "al_options_parse": "words of who runs it: tables of good and bad ones in options_test.c",
    "al_jobs_load": "reads rows into a running object; jobs_test.c gives it damaged ones",
    "al_source_load": "bytes of one document, kept as they are: what comes before them, the listing, is fuzzed",
    "al_shim_load": "the index target calls it through the table of the back end",
    "al_tls_files_read": "hands the bytes to the TLS library",
}

# Maker -> the function that a test of each allocation calls, and that calls it.
MEMORY_THROUGH = {
    "al_growing_create": "al_segset_create",
    "al_rpc_decode": "al_rpc_unpack",
    "al_scope_open": "al_query_run",
    "al_shard_check_open": "al_shard_open",
}
MEMORY_NOT = {
    "al_cli_feed_open": "the command line has the process's memory only, and ends without it",
    "al_signals_start": "allocates nothing",
    "al_standalone_start": "puts together what is tested one by one; daemon_test.py runs it",
}

# On a disk -> the function that a test of each operation calls, and that calls it.
DISK_THROUGH: dict[str, str] = {}
DISK_NOT: dict[str, str] = {}
