#!/usr/bin/env python3
"""What Tantivy (PyPI `tantivy`) needs for the searches of airlore-bench-text.

  text_tantivy.py TEXTS QUERIES [-k K] [-n ROUNDS] [--terms MIN-MAX]

TEXTS and QUERIES hold analysed terms (airlore-bench-text --analyze), so that both engines index the same terms. Queries
are parsed before; the time is that of the search call. Prints one JSON line.
"""

import argparse
import json
import tempfile
import time

import tantivy


def build(path, folder):
    schema = tantivy.SchemaBuilder()
    schema.add_text_field("body", stored=False, tokenizer_name="whitespace", index_option="freq")
    index = tantivy.Index(schema.build(), path=folder)
    writer = index.writer(heap_size=2_000_000_000, num_threads=1)
    start = time.process_time()
    n = 0
    with open(path, encoding="utf-8") as f:
        for line in f:
            writer.add_document(tantivy.Document(body=line))
            n += 1
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    return index, n, time.process_time() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("texts")
    parser.add_argument("queries")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("-n", type=int, default=5)
    parser.add_argument("--terms", default="2-8")
    args = parser.parse_args()
    least, most = map(int, args.terms.split("-"))
    queries = []
    with open(args.queries, encoding="utf-8") as f:
        for line in f:
            terms = list(dict.fromkeys(line.split()))
            if least <= len(terms) <= most:
                queries.append(terms)
    with tempfile.TemporaryDirectory() as folder:
        index, n, took = build(args.texts, folder)
        searcher = index.searcher()
        should = tantivy.Occur.Should
        parsed = [
            tantivy.Query.boolean_query([(should, tantivy.Query.term_query(index.schema, "body", t)) for t in terms])
            for terms in queries
        ]
        best = float("inf")
        for _ in range(args.n):
            start = time.process_time()
            for query in parsed:
                searcher.search(query, args.k, count=False)
            best = min(best, (time.process_time() - start) * 1e6 / len(parsed))
        print(
            json.dumps(
                {
                    "tantivy": tantivy.__version__ if hasattr(tantivy, "__version__") else "",
                    "texts": n,
                    "queries": len(parsed),
                    "k": args.k,
                    "segments": searcher.num_segments,
                    "build_us": round(took * 1e6 / n, 2),
                    "us": round(best, 2),
                }
            )
        )


if __name__ == "__main__":
    main()
