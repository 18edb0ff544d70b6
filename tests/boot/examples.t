#!/bin/bash
# The programs under examples/ do what they say: build, run, survive what they are handed.
# time limit: 300
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
RUN_LIMIT_S=60
none() { echo "1..0 # SKIP $1"; exit 0; }
[ -w /dev/kvm ] || none "no /dev/kvm to run a guest on"
work=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null; rm -rf "$work"' EXIT
out=build/examples

# A picture of 3 by 2 pixels of one colour, and the same with its data cut short.
make_images() {
    python3 - "$work" << 'EOF'
import struct, sys, zlib
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
rows = b"".join(b"\0" + bytes((0x10, 0x80, 0xf0)) * 3 for _ in range(2))
png = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0))
       + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
open(sys.argv[1] + "/good.png", "wb").write(png)
open(sys.argv[1] + "/cut.png", "wb").write(png[:50])
EOF
}
they_are_built() { make -s examples && make_images; }
images_are_decoded() {
    local got=0
    timeout $RUN_LIMIT_S $out/plugin_host $out/decoder "$work/good.png" "$work/cut.png" "$work/good.png" > "$work/said" 2>&1 || got=$?
    cat "$work/said"
    [ $got = 1 ] && [ "$(grep -c 'good.png: 3 x 2, mean colour #1080f0' "$work/said")" = 2 ] &&
        grep -q 'cut.png: no PNG image, or a damaged one' "$work/said"
}
ask() { exec 3<> "/dev/tcp/127.0.0.1/$port" && printf '%s\n' "$1" >&3 && timeout $RUN_LIMIT_S head -n 1 <&3; exec 3>&-; }
requests_are_answered_each_in_a_clone_of_its_own() {
    timeout $RUN_LIMIT_S $out/server $out/handler > "$work/server" 2>&1 &
    for ((i = 0; i < 200; i++)); do grep -q listening "$work/server" && break; sleep 0.1; done
    port=$(sed -n 's/^listening at 127.0.0.1://p' "$work/server")
    [ -n "$port" ] || { cat "$work/server"; return 1; }
    local answer
    for answer in "$(ask '1 + 2 + 39')" "$(ask '40 + 2')"; do
        [ "$answer" = "42 (request 1 of this clone)" ] || { echo "answered: $answer"; return 1; }
    done
    answer=$(ask crash)
    [[ $answer == error:*SIG* ]] || { echo "a crash is answered: $answer"; return 1; }
    answer=$(ask spin)
    [[ $answer == error:* ]] || { echo "a spin is answered: $answer"; return 1; }
    [ "$(ask '20 + 22')" = "42 (request 1 of this clone)" ] && ask quit > /dev/null && wait $!
}
python_runs_a_program() {
    local got=0
    printf '#include <stdio.h>\nint main(int argc, char **argv) { printf("%%d words, the last is %%s\\n", argc, argv[argc - 1]); return 7; }\n' > "$work/hello.c"
    gcc -static -o "$work/hello" "$work/hello.c" || return
    VIREO_LIBRARY=build/libvireo.so timeout $RUN_LIMIT_S examples/run_program.py "$work/hello" from Python > "$work/said" 2>&1 || got=$?
    cat "$work/said"
    [ $got = 7 ] && [ "$(cat "$work/said")" = "3 words, the last is Python" ]
}
check they_are_built they_are_built
check images_are_decoded_in_a_sandbox_that_is_reset images_are_decoded
check requests_are_answered_each_in_a_clone_of_its_own requests_are_answered_each_in_a_clone_of_its_own
check python_runs_a_program python_runs_a_program
tap_done
