#!/bin/bash
# Disks of the built-in guest on this machine's /dev/kvm: options, odd images, and what happens where the host has no descriptors left.
# time limit: 300
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
# shellcheck source=tests/boot/program.sh
. tests/boot/program.sh
VIREO=$PWD/build/vireo
RUN_LIMIT_S=60          # the guest is done within seconds, on a busy machine
FDS_MAX=60              # open files that are enough for a VM with a disk, by far
SCRATCH=$(sed -n 's/.*GUEST_SCRATCH_DISK_ID "\(.*\)".*/\1/p' guest/embed.h)     # the guest writes to a disk with this serial
memory=$(mktemp -d -p /dev/shm 2> /dev/null || mktemp -d)
work=$(mktemp -d)
trap 'rm -rf "$work" "$memory"' EXIT
cd "$work" || exit 1

says() { grep -qF -- "$1" "$2" || { echo "no \"$1\" in $2:"; cat "$2"; return 1; }; }
size_is() { [ "$(stat -c %s "$1")" = "$2" ] || { echo "$1 has $(stat -c %s "$1") bytes, not $2"; return 1; }; }

# The guest writes 1 MiB at several depths, reads it back and compares it. On a file system of a disk and on one in memory.
written_and_read_back() {
    local image
    for image in image "$memory/image"; do
        truncate -s 1M "$image"
        ends 0 run --disk "path=$image,serial=$SCRATCH" && says "written, read back and compared" out || return 1
    done
}
large_blocks() {
    truncate -s 1M blocks
    ends 0 run --disk "path=blocks,serial=$SCRATCH,block-size=4096" && says "written, read back and compared" out &&
        ends 125 run --disk path=blocks,block-size=1024 && says "must be 512 or 4096 bytes" err
}
rounded_down() {
    truncate -s $((1024 * 1024 + 1000)) odd
    ends 0 run --disk "path=odd,serial=$SCRATCH" && says "1024 KiB" out &&
        says "odd ends within a block: the guest does not see its last 488 bytes; round it up with: truncate -s %512 odd" err &&
        size_is odd $((1024 * 1024 + 1000)) &&
        ends 0 run --disk path=odd,block-size=4096 && says "its last 1000 bytes" err || return 1
    truncate -s 100 tiny
    ends 125 run --disk path=tiny && says "tiny has 100 bytes, and a disk needs at least 512" err
}
other_formats() {
    truncate -s 1M image.qcow2
    printf 'QFI\373\0\0\0\003' | dd of=image.qcow2 conv=notrunc status=none
    ends 125 run --disk path=image.qcow2 && says "disk 0: image.qcow2 is a qcow2 image, and a disk here is a raw one" err &&
        says "qemu-img convert -O raw image.qcow2 NEW" err && ends 0 run --disk path=image.qcow2,format=raw &&
        ends 125 run --disk path=image.qcow2,format=qcow2 && says "qemu-img convert" err
}
# Whatever is the last descriptor that can be had: the host's fault, told before the guest runs, and never the guest's.
few_descriptors() {
    local n got runs=0
    truncate -s 1M image "$memory/image"
    for image in image "$memory/image"; do
        runs=0
        for ((n = 8; n <= FDS_MAX && runs < 2; n++)); do
            got=0
            (ulimit -n "$n" && vireo run --disk "path=$image,serial=$SCRATCH") > out 2> err || got=$?
            case $got in
                0) runs=$((runs + 1)) ;;
                122) echo "ulimit -n $n: status $got"; cat err; return 1 ;;
            esac
            ! grep -q "broke the protocol\|could not start" err || { echo "ulimit -n $n:"; cat err; return 1; }
        done
        [ $runs = 2 ] || { echo "$FDS_MAX open files are not enough"; return 1; }
    done
}

tests=(
    "a disk on a file and one in memory hold what is written|written_and_read_back"
    "a disk may have blocks of 4096 bytes|large_blocks"
    "an image that ends within a block is rounded down, and that is said|rounded_down"
    "an image of another format is refused, and taken when it is called raw|other_formats"
    "without descriptors a disk is refused before the guest runs|few_descriptors"
)
reason=
{ [ -r /dev/kvm ] && [ -w /dev/kvm ]; } || reason="no usable /dev/kvm on this machine"
for row in "${tests[@]}"; do
    if [ -n "$reason" ]; then skip "${row%%|*}" "$reason"; else check "${row%%|*}" "${row##*|}"; fi
done
tap_done
