#!/bin/bash
# The guest that docs/guests.md shows, built and run by the very lines that the page shows, and the ends that vireo_guest.h offers. The header for
# C, C++ and assembler, of both architectures.
# time limit: 120
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
TREE=$PWD
RUN_LIMIT_S=20
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# block LANGUAGE: the page's one block of it.
block() { sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/{/^\`\`\`/d;p}" "$TREE/docs/guests.md"; }
vireo() { timeout $RUN_LIMIT_S "$TREE/build/vireo" "$@" < /dev/null; }
pkg-config() { echo "-I$TREE/include"; }
# build_and_run: ./hello.c, as the page says; its console is in ./console, what else was said in ./said.
build_and_run() {
    block sh > lines.sh && [ -s lines.sh ] || return 1
    # shellcheck source=/dev/null
    . ./lines.sh > console 2> said
    tr -d '\r' < console > plain
    cat plain said
}
page_guest_works() {
    block c > hello.c && [ "$(grep -c . hello.c)" -le 30 ] || { echo "the guest is longer than 30 lines"; return 1; }
    build_and_run
    grep -qx 'hello, I was told: be brief' plain && grep -qx 'status 7' plain && grep -q 'guest 1' said && grep -q 'guest 2' said
}
# ends_with STATUS REASON STATEMENT: the page's guest with that in place of its end.
ends_with() {
    block c | sed "s/vireo_guest_exit(7);/$3/" > hello.c && build_and_run && grep -qx "status $1" plain || return 1
    vireo run --kernel hello --json | tail -n 1 | grep -qF "\"reason\": \"$2\""
}
other_ends() {
    ends_with 120 panic 'vireo_guest_panic();' && ends_with 0 poweroff 'vireo_guest_out8(VIREO_X86_PORT_POWER, VIREO_X86_POWER_OFF); for (;;) continue;' &&
        ends_with 0 reset 'vireo_guest_out8(VIREO_X86_PORT_RESET, 1); for (;;) continue;' && ends_with 119 guest-status 'vireo_guest_exit(300);' &&
        vireo run --kernel hello --json | tail -n 1 | grep -qF '"value": 300'
}
header_is_strict() {
    local strict=(-Wall -Wextra -Wconversion -Werror -I"$TREE/include" -c -o /dev/null)
    echo '#include <vireo_guest.h>' > c.c
    cp c.c cc.cc
    printf '#include <vireo_guest.h>\n.long VIREO_X86_PORT_EXIT, VIREO_ARM64_EXIT\n' > s.S
    gcc -std=c99 -pedantic -ffreestanding "${strict[@]}" c.c && gcc "${strict[@]}" s.S || return 1
    ! command -v g++ > /dev/null || g++ -std=c++11 "${strict[@]}" cc.cc || return 1
    ! command -v aarch64-linux-gnu-gcc > /dev/null || aarch64-linux-gnu-gcc -std=c99 -pedantic -ffreestanding "${strict[@]}" c.c
}

check "vireo_guest.h compiles alone, in C99, C++ and assembler" header_is_strict
if [ ! -w /dev/kvm ] || [ "$(uname -m)" != x86_64 ]; then
    skip "the page's guest does what the page says" "no /dev/kvm, or no x86-64, to run it on"
    skip "a guest may panic, power off, reset and end with any status" "no /dev/kvm, or no x86-64, to run it on"
else
    check "the page's guest does what the page says" page_guest_works
    check "a guest may panic, power off, reset and end with any status" other_ends
fi
tap_done
