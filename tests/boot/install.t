#!/bin/bash
# What `make install` puts in place is enough to build a program on: with pkg-config, against the static and the shared library, by C and by
# C++. The program is docs/embedding.md's.
# time limit: 120
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
TREE=$PWD
RUN_LIMIT_S=20
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

PREFIX=/opt/vireo
ROOT=$work/root
# A pkg-config that finds the file in DESTDIR, and its paths there.
pc() { PKG_CONFIG_PATH=$ROOT$PREFIX/lib/pkgconfig pkg-config --define-variable=prefix="$ROOT$PREFIX" "$@" vireo; }
strict=(-std=c99 -pedantic -Wall -Wextra -Werror)

install_it() {
    make -s install DESTDIR="$ROOT" PREFIX=$PREFIX || return 1
    local file
    for file in bin/vireo bin/vireo-bench include/vireo.h include/vireo_guest.h lib/libvireo.a lib/libvireo.so lib/pkgconfig/vireo.pc share/man/man1/vireo.1 \
        share/man/man1/vireo-run.1 share/man/man1/vireo-doctor.1 share/bash-completion/completions/vireo share/zsh/site-functions/_vireo; do
        [ -s "$ROOT$PREFIX/$file" ] || { echo "$PREFIX/$file is missing"; return 1; }
    done
    [ "$("$ROOT$PREFIX/bin/vireo" --version)" = "vireo $(pc --modversion)" ]
}
# Where no other package has a file for pkg-config: of what libvireo.so was linked with a program that uses it needs nothing, and one that takes
# libvireo.a needs the libraries, not their headers.
needs_no_other_package() {
    alone() { PKG_CONFIG_PATH='' PKG_CONFIG_LIBDIR=$ROOT$PREFIX/lib/pkgconfig pkg-config "$@" vireo; }
    [ "$(alone --cflags)" = "-I$PREFIX/include " ] || [ "$(alone --cflags)" = "-I$PREFIX/include" ] || { alone --cflags; return 1; }
    alone --libs | grep -qx -- "-L$PREFIX/lib -lvireo *" && alone --exists && alone --static --libs | grep -q -- '-ljansson'
}
# The one block of C in the page, so that what the page shows is what is built.
# shellcheck disable=SC2016  # backquotes of Markdown
extract() { sed -n '/^```c$/,/^```$/{/^```/d;p}' "$TREE/docs/embedding.md" > "$work/two.c" && [ -s "$work/two.c" ]; }
build_static() {
    # shellcheck disable=SC2046  # words
    extract && gcc "${strict[@]}" $(pc --cflags) "$work/two.c" -o "$work/two-static" "$ROOT$PREFIX/lib/libvireo.a" \
        $(pc --static --libs | tr ' ' '\n' | grep -v -- '-lvireo') && ! ldd "$work/two-static" | grep libvireo
}
build_shared() {
    # shellcheck disable=SC2046  # words
    extract && gcc "${strict[@]}" $(pc --cflags) "$work/two.c" -o "$work/two-shared" $(pc --libs) &&
        LD_LIBRARY_PATH=$ROOT$PREFIX/lib ldd "$work/two-shared" | grep -q "libvireo.so.*$ROOT"
}
build_cpp() {
    command -v g++ > /dev/null || { echo "no g++: scripts/setup test installs it"; return 1; }
    printf '#include <vireo.h>\nint main() { return *vireo_version() == 0; }\n' > "$work/v.cc"
    # shellcheck disable=SC2046  # words
    g++ -Wall -Wextra -Werror $(pc --cflags) "$work/v.cc" -o "$work/v" $(pc --libs) && LD_LIBRARY_PATH=$ROOT$PREFIX/lib "$work/v"
}
only_ours_exported() {
    local foreign
    foreign=$(nm -D --defined-only "$ROOT$PREFIX/lib/libvireo.so" | awk '$2 != "A" { print $3 }' | grep -v '^vireo_')
    foreign+=$(nm -g --defined-only "$ROOT$PREFIX/lib/libvireo.a" | awk 'NF == 3 { print $3 }' | grep -v '^vireo_')
    [ -z "$foreign" ] || { echo "exported: $foreign"; return 1; }
}
# Every function of the header is there, in both.
all_of_the_header_exported() {
    local name
    nm -D --defined-only "$ROOT$PREFIX/lib/libvireo.so" > "$work/so"
    nm -g --defined-only "$ROOT$PREFIX/lib/libvireo.a" > "$work/a"
    grep -o 'VIREO_API [^;]*(' "$TREE/include/vireo.h" | grep -o 'vireo_[a-z_]*(' | tr -d '(' > "$work/names"
    [ -s "$work/names" ] || return 1
    while read -r name; do
        grep -qE " T $name(@|$)" "$work/so" || { echo "$name is not in libvireo.so"; return 1; }
        grep -q " T $name$" "$work/a" || { echo "$name is not in libvireo.a"; return 1; }
    done < "$work/names"
}
two_vms() {
    local lines
    lines=$(LD_LIBRARY_PATH=$ROOT$PREFIX/lib timeout $RUN_LIMIT_S "$work/two-$1" < /dev/null) || { echo "$lines"; return 1; }
    [ "$(grep -c '^guest [01]: .*, status 0: ' <<< "$lines")" = 2 ] || { echo "$lines"; return 1; }
}
benches_found() {
    "$ROOT$PREFIX/bin/vireo" bench | grep -q '^exits ' || return 1
    rm "$ROOT$PREFIX/bin/vireo-bench"
    local error status=0
    error=$("$ROOT$PREFIX/bin/vireo" bench 2>&1) || status=$?
    [ $status = 126 ] && [[ $error == *"$ROOT$PREFIX/bin/vireo-bench: No such file"* ]] || { echo "$status $error"; return 1; }
}
uninstall_it() {
    make -s uninstall DESTDIR="$ROOT" PREFIX=$PREFIX && [ -z "$(find "$ROOT" ! -type d)" ]
}

check "make install puts everything in place" install_it
check "pkg-config needs no other package's file" needs_no_other_package
check "a C99 program builds against the static library" build_static
check "a C99 program builds against the shared library" build_shared
check "a C++ program includes the header" build_cpp
check "the libraries export vireo_ names and no other" only_ours_exported
check "the libraries export every function of the header" all_of_the_header_exported
for kind in static shared; do
    if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then check "two VMs run in one process ($kind)" two_vms $kind
    else skip "two VMs run in one process ($kind)" "no usable /dev/kvm on this machine"; fi
done
check "vireo bench finds vireo-bench beside itself, and says so when it is not there" benches_found
check "make uninstall takes everything away" uninstall_it
tap_done
