# The segments of a shard: filters, vector indexes, postings, sealed files, searching.
set(AL_INDEX_SOURCES
  dot.c huge.c index_flat.c index_named.c index_hnsw.c index_hnsw_code.c index_hnsw_kernels.c index_hnsw_build.c index_hnsw_search.c
  index_hnsw_plan.c index_hnsw_bytes.c)
set(AL_SEGMENT_SOURCES
  version.c version_range.c filter.c filter_parse.c filter_resolve.c
  ${AL_INDEX_SOURCES}
  postings.c postings_list.c postings_pack.c impact.c terms.c segment.c prepare.c growing.c sealed_footer.c sealed_write.c sealed_load.c
  manifest.c segset.c segset_build.c segset_upkeep.c scope.c topk.c bm25.c bm25_df.c bm25_prune.c vector_leg.c legs.c)
set(AL_SEGMENT_PRIVATE al::vendor_xxhash m)
set(AL_SEGMENT_TESTS version filter index index_hnsw index_graph index_text postings bm25 segset segset_fault segset_graph segset_threads)
if(AL_WITH_VENDOR)
  list(APPEND AL_SEGMENT_SOURCES index_faiss.c faiss_shim.cpp)
  list(APPEND AL_SEGMENT_PRIVATE al::vendor_faiss)
else()
  set_source_files_properties(index_named.c index_test.c PROPERTIES COMPILE_DEFINITIONS AL_NO_FAISS)
endif()

# The inner loops of a search are useless without optimization, also in debug builds.
set_source_files_properties(dot.c faiss_shim.cpp postings_list.c postings_pack.c PROPERTIES COMPILE_OPTIONS -O2)
set_source_files_properties(
  index_hnsw_code.c index_hnsw_kernels.c index_hnsw_build.c index_hnsw_search.c index_hnsw_plan.c bm25_prune.c
  PROPERTIES COMPILE_OPTIONS -O3)
