#!/usr/bin/env bash
# Install what Airlore builds with, once. Idempotent: the second run finds everything and ends in well under a second.
#
#   tools/bootstrap.sh [--dev] [--check]
#     --dev     also the tools of lint and the tests (clang, cmocka, valgrind, buf, grpcurl's Go build)
#     --check   change nothing; exit 1 and say what is missing
#
# What it does and why is printed as it goes. Nothing outside the package manager's own folders and
# .cache/ beside this checkout is written; the machine's own package sources are left alone.
set -euo pipefail
cd "$(dirname "$0")/.."
CACHE=${AIRLORE_CACHE:-$PWD/.cache}
MARCH=${AIRLORE_MARCH:-x86-64-v3}
FAISS_VERSION=1.7.3-2
GRAMMAR_VERSION=0.23.6
DEV=0 CHECK=0
for a in "$@"; do
    case $a in
        --dev) DEV=1 ;;
        --check) CHECK=1 ;;
        *) echo "bootstrap: unknown option '$a' (known: --dev, --check)" >&2; exit 2 ;;
    esac
done

say() { printf '  %s\n' "$*"; }
die() { printf 'bootstrap: %s\n' "$*" >&2; exit 1; }

# package list: name, then why (the reason is printed when it is installed)
BUILD_PACKAGES='
build-essential|compiler
ca-certificates|trusted roots for TLS
cmake|build
ninja-build|build
pkg-config|finds the libraries
python3|build scripts
dpkg-dev|unpacks the FAISS source package
protobuf-compiler|descriptor set of the wire contract
libprotobuf-dev|the well-known messages that the contract imports
protobuf-c-compiler|C code of the wire contract
libprotobuf-c-dev|messages on the wire
libgrpc-dev|gRPC C core
librocksdb-dev|the store of a shard
libopenblas-dev|linear algebra under FAISS
libroaring-dev|bitmaps: tombstones, filters
libcyaml-dev|configuration in YAML
libyaml-dev|front matter of documents
libjansson-dev|JSON
libcurl4-openssl-dev|HTTP client
libarchive-dev|sources: tar, zip and 7z archives
libgit2-dev|sources: git repositories
libexpat1-dev|sources: sitemaps, listings of buckets, dumps
libpoppler-glib-dev|sources: text of PDF
libmicrohttpd-dev|HTTP server: metrics, health
libcmark-gfm-dev|Markdown parser
libcmark-gfm-extensions-dev|tables and the like in Markdown
libgumbo-dev|HTML parser
libpcre2-dev|regular expressions: redaction
libtree-sitter-dev|Python parser runtime
libstemmer-dev|English stems
libutf8proc-dev|Unicode
libcld2-dev|language of a text
libsodium-dev|key hashes, digests, random
libxxhash-dev|checksums
libssl-dev|certificates
'
DEV_PACKAGES='
libcmocka-dev|unit tests
clang-14|second compiler, fuzzers
clang-format-14|format check
clang-tidy-14|static analysis
libclang-rt-14-dev|sanitizer and fuzzer runtimes
cppcheck|static analysis
valgrind|memory checks
curl|tests of the HTTP side
etcd-server|a real coordination store for the tests; they start their own (turn its service off where init starts one)
procps|tests that look at processes
openssl|test certificates
python3-venv|Python client tests, servers of buckets for tests
git|tests of repositories as sources
zstd|tests of archives as sources
npm|buf (lint of the wire contract)
golang-go|grpcurl (an independent gRPC client)
shellcheck|lint of shell scripts
'

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "root or sudo is needed to run: $*"; fi
}

missing_packages() { # list of "name|why" lines that are not installed
    local line name
    while IFS= read -r line; do
        [ -n "$line" ] || continue
        name=${line%%|*}
        case $name in
            npm) command -v npm >/dev/null && continue ;;
            golang-go) command -v go >/dev/null && continue ;;
        esac
        dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || printf '%s\n' "$line"
    done
}

install_packages() {
    local want missing names name
    want=$BUILD_PACKAGES
    [ $DEV = 1 ] && want+=$DEV_PACKAGES
    missing=$(missing_packages <<<"$want")
    [ -n "$missing" ] || { say "packages: all present"; return; }
    if [ $CHECK = 1 ]; then
        while IFS='|' read -r name _; do echo "missing package: $name"; done <<<"$missing"
        return 1
    fi
    say "packages to install (and why):"
    while IFS='|' read -r name why; do printf '    %-30s %s\n' "$name" "$why"; done <<<"$missing"
    names=$(cut -d'|' -f1 <<<"$missing" | tr '\n' ' ')
    as_root apt-get update -qq
    # shellcheck disable=SC2086  # a list of names
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $names >/dev/null
    say "packages: installed"
}

# A private copy of the package sources with source packages switched on; the machine's own stay as they are.
source_lists() {
    local dir=$CACHE/apt; mkdir -p "$dir/sources" "$dir/lists/partial"
    rm -f "$dir"/sources/*
    local f
    for f in /etc/apt/sources.list.d/*.sources; do
        [ -e "$f" ] && sed 's/^Types:.*/Types: deb-src/' "$f" >"$dir/sources/$(basename "$f")"
    done
    for f in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -e "$f" ] && sed -n 's/^deb /deb-src /p' "$f" >"$dir/sources/$(basename "$f" .list).list"
    done
    printf '%s\n' "-oDir::Etc::sourcelist=/dev/null" "-oDir::Etc::sourceparts=$dir/sources" \
        "-oDir::State::lists=$dir/lists" "-oAPT::Sandbox::User=root"
}

faiss_stamp() { printf 'faiss %s %s 1' "$FAISS_VERSION" "$MARCH"; }

build_faiss() {
    local prefix=$CACHE/faiss work=$CACHE/faiss-build src opts
    if [ "$(cat "$prefix/stamp" 2>/dev/null)" = "$(faiss_stamp)" ]; then say "FAISS: cached"; return; fi
    [ $CHECK = 0 ] || { echo "missing: FAISS with its C API"; return 1; }
    say "FAISS $FAISS_VERSION: building from the distribution's source package (its binary has no C API and no AVX2); one to three minutes"
    rm -rf "$work" "$prefix"; mkdir -p "$work"
    mapfile -t opts < <(source_lists)
    (cd "$work" && apt-get -qq "${opts[@]}" update && apt-get -qq "${opts[@]}" source "faiss=$FAISS_VERSION") >"$work/source.log" 2>&1 ||
        { tail -5 "$work/source.log" >&2; die "the FAISS source package could not be had"; }
    src=$work/faiss-1.7.3
    # 1.7.3 sizes its HNSW queue from the index and ignores the efSearch of the query
    grep -q 'int ef = std::max(efSearch, k);' "$src/faiss/impl/HNSW.cpp" || die "FAISS source differs from the one this recipe knows"
    sed -i 's/int ef = std::max(efSearch, k);/int ef = std::max(params ? params->efSearch : efSearch, k);/' "$src/faiss/impl/HNSW.cpp"
    # shellcheck disable=SC2016  # CMake expands it, not the shell
    echo 'install(TARGETS faiss_c ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})' >>"$src/c_api/CMakeLists.txt"
    # shellcheck disable=SC2015  # whichever of the three fails ends here
    cmake -S "$src" -B "$work/b" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DBUILD_TESTING=OFF \
        -DFAISS_ENABLE_GPU=OFF -DFAISS_ENABLE_PYTHON=OFF -DFAISS_ENABLE_C_API=ON -DFAISS_OPT_LEVEL=generic \
        "-DCMAKE_CXX_FLAGS=-march=$MARCH" -DBLA_VENDOR=OpenBLAS -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
        "-DCMAKE_INSTALL_PREFIX=$prefix" -DCMAKE_INSTALL_LIBDIR=lib >"$work/cmake.log" 2>&1 &&
        ninja -C "$work/b" faiss faiss_c >"$work/ninja.log" 2>&1 &&
        cmake --install "$work/b" >"$work/install.log" 2>&1 ||
        { tail -15 "$work"/{cmake,ninja,install}.log >&2 2>/dev/null; die "FAISS did not build (logs in $work)"; }
    faiss_stamp >"$prefix/stamp"
    rm -rf "$work"
    say "FAISS: built into ${prefix#"$PWD"/}"
}

GRAMMAR_SHA256=aab5b860d93dbf84b37fed532f7dacc0468ede5387d0c74911d68f964287662a
fetch_grammar() {
    local dir=$CACHE/tree-sitter-python
    if [ "$(cat "$dir/stamp" 2>/dev/null)" = "$GRAMMAR_VERSION" ]; then say "Python grammar: cached"; return; fi
    [ $CHECK = 0 ] || { echo "missing: Python grammar"; return 1; }
    say "Python grammar $GRAMMAR_VERSION: fetching the npm package tree-sitter-python"
    command -v npm >/dev/null || as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm >/dev/null
    rm -rf "$dir"; mkdir -p "$dir"
    (cd "$dir" && npm pack --silent "tree-sitter-python@$GRAMMAR_VERSION" >/dev/null) || die "the npm package tree-sitter-python could not be had"
    echo "$GRAMMAR_SHA256  $dir/tree-sitter-python-$GRAMMAR_VERSION.tgz" | sha256sum -c --quiet - || die "tree-sitter-python: checksum differs"
    tar -xzf "$dir/tree-sitter-python-$GRAMMAR_VERSION.tgz" -C "$dir" --strip-components=1 package/src package/LICENSE
    rm "$dir/tree-sitter-python-$GRAMMAR_VERSION.tgz"
    echo "$GRAMMAR_VERSION" >"$dir/stamp"
}

# An independent gRPC client for the tests. They are skipped, and counted as skipped, where it cannot be had.
GRPCURL_VERSION=1.8.9
fetch_grpcurl() {
    local dir=$CACHE/tools/grpcurl-$GRPCURL_VERSION
    if [ -x "$dir/grpcurl" ]; then say "grpcurl: cached"; return; fi
    [ $CHECK = 0 ] || { echo "missing: grpcurl"; return 1; }
    say "grpcurl $GRPCURL_VERSION: building (an independent gRPC client, for the tests)"
    mkdir -p "$dir"
    GOBIN=$(realpath "$dir") go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@v$GRPCURL_VERSION" >"$dir/build.log" 2>&1 ||
        say "grpcurl: could not be built (log in ${dir#"$PWD"/}/build.log); tests that need it are skipped"
}

# Servers of buckets for the tests: moto checks the signatures of S3 requests. Skipped, and counted as skipped, without them.
MOTO_VERSION=5.2.5
GCS_EMULATOR_VERSION=2026.7.19
make_bucket_servers() {
    local dir=$CACHE/tools/buckets stamp="moto $MOTO_VERSION gcs $GCS_EMULATOR_VERSION"
    if [ "$(cat "$dir/stamp" 2>/dev/null)" = "$stamp" ]; then say "bucket servers: cached"; return; fi
    [ $CHECK = 0 ] || { echo "missing: bucket servers for tests"; return 1; }
    say "bucket servers: moto $MOTO_VERSION and gcp-storage-emulator $GCS_EMULATOR_VERSION from PyPI (for the tests)"
    rm -rf "$dir"; mkdir -p "$dir"
    if python3 -m venv "$dir" && "$dir/bin/pip" install -q "moto[server]==$MOTO_VERSION" "gcp-storage-emulator==$GCS_EMULATOR_VERSION" >"$dir/pip.log" 2>&1
    then echo "$stamp" >"$dir/stamp"
    else say "bucket servers: could not be had (log in ${dir#"$PWD"/}/pip.log); tests that need them are skipped"; fi
}

[ $CHECK = 1 ] || echo "bootstrap: what Airlore needs on this machine"
rc=0
install_packages || rc=1
build_faiss || rc=1
fetch_grammar || rc=1
if [ $DEV = 1 ]; then fetch_grpcurl || rc=1; make_bucket_servers || rc=1; fi
exit $rc
