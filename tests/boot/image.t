#!/bin/bash
# Kernels and initrds on a disk that fails: a file system on a loop device whose backing file is cut short under it.
# time limit: 120
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
VIREO=$PWD/build/vireo
RUN_LIMIT_S=30
BLOCK=4096              # of the file system
KERNEL_BYTES=8388608    # its first half can be read
work=$(mktemp -d)
loop=
give_back() {
    umount "$work/disk" 2> /dev/null
    [ -z "$loop" ] || losetup -d "$loop"
    rm -rf "$work"
}
trap give_back EXIT
cd "$work" || exit 1
PATH=$PATH:/sbin:/usr/sbin

none() { echo "1..0 # SKIP $1"; exit 0; }
[ -w /dev/kvm ] || none "no /dev/kvm to run a guest on"
[ "$(id -u)" = 0 ] || none "a loop device takes root"
command -v mkfs.ext2 > /dev/null && command -v losetup > /dev/null || none "no mkfs.ext2 or losetup"

# A kernel that loops for ever; the whole file is loaded, however long.
kernel() {
    if [ "$(uname -m)" = x86_64 ]; then # a flat Multiboot image at 16 MiB: magic, flags, checksum, five addresses, jmp .
        printf '\x02\xb0\xad\x1b\0\0\1\0\xfe\x4f\x51\xe4\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\0\x20\0\0\1\xeb\xfe'
    else
        printf '\0\0\0\x14'
    fi
}
kernel > small

make_disk() {
    mkdir disk && truncate -s 64M image && mkfs.ext2 -q -F -m 0 -b $BLOCK image && mount -t ext2 -o loop image disk || return
    { kernel; head -c $KERNEL_BYTES /dev/zero | tr '\0' x; } > disk/kernel
    head -c $KERNEL_BYTES /dev/zero | tr '\0' y > disk/initrd
    umount disk
}
# From the middle of the kernel on there is no disk any more.
break_disk() {
    local cut
    cut=$(debugfs -R "bmap /kernel $((KERNEL_BYTES / 2 / BLOCK))" image) && [ "$cut" -gt 0 ] || return
    loop=$(losetup -r -f --show image) && truncate -s $((cut * BLOCK)) image && mount -t ext2 -o ro "$loop" disk
}
{ make_disk && break_disk; } > log 2>&1 || none "no file system on a loop device here: $(tail -n 1 log)"

# refused FILE OPTION...: it is not loadable, and that is said; the machine has not ended by a signal.
refused() {
    local file=$1 got=0
    shift
    timeout $RUN_LIMIT_S "$VIREO" run --console off --timeout 5 --json=report "$@" > /dev/null 2> errors < /dev/null || got=$?
    [ $got = 127 ] || { echo "exit status $got, not 127"; cat errors; return 1; }
    grep -qF "$file: read at offset " errors && grep -qF "Input/output error" errors && grep -qF "use a copy" errors ||
        { echo "not said:"; cat errors; return 1; }
    grep -qF '"reason": "error", "status": 127' report || { echo "not reported:"; cat report; return 1; }
}
it_runs_from_a_disk_that_can_be_read() {
    local got=0
    timeout $RUN_LIMIT_S "$VIREO" run --console off --timeout 1 --kernel small > log 2>&1 < /dev/null || got=$?
    [ $got = 124 ] || { echo "exit status $got, not 124"; cat log; return 1; }
}
it_says_by_which_entry_a_kernel_is_entered() {
    local entry="entered at 0x1000020 by its Multiboot 1 header"
    [ "$(uname -m)" = x86_64 ] || entry="as a flat binary"
    timeout $RUN_LIMIT_S "$VIREO" run --console off --timeout 1 --kernel small --verbose > log 2>&1 < /dev/null
    grep -qF "kernel small: entered at" log && grep -qF "$entry" log || { echo "not said: $entry"; cat log; return 1; }
}
a_large_kernel_that_can_not_be_read_is_refused() { refused "kernel disk/kernel" --kernel disk/kernel; }
a_large_initrd_that_can_not_be_read_is_refused() { refused "initrd disk/initrd" --kernel small --initrd disk/initrd; }

for promise in it_runs_from_a_disk_that_can_be_read it_says_by_which_entry_a_kernel_is_entered a_large_kernel_that_can_not_be_read_is_refused \
    a_large_initrd_that_can_not_be_read_is_refused; do
    check "${promise//_/ }" "$promise"
done
tap_done
