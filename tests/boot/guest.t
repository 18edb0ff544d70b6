#!/bin/bash
# The built-in guest on this machine's /dev/kvm, whatever kind that is: what it finds, what it does to disks, and that it notices what is wrong.
# time limit: 120
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
VIREO=$PWD/build/vireo
RUN_LIMIT_S=30          # half a second on a quiet machine with software KVM
SCRATCH=vireo-ramdisk   # the serial of the disk the guest writes to
work=$(mktemp -d)
trap 'umount "$work/small" 2> /dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1

if [ ! -w /dev/kvm ]; then
    echo "1..0 # SKIP no /dev/kvm to run a guest on"
    exit 0
fi

# guest STATUS OPTION...: run it; its console is in ./console.
guest() {
    local want=$1 got=0
    shift
    timeout $RUN_LIMIT_S "$VIREO" run "$@" > console 2> errors < /dev/null || got=$?
    tr -d '\r' < console > plain
    [ $got = "$want" ] || { echo "vireo run $*: exit status $got, not $want"; cat plain errors; return 1; }
}
says() { grep -qF -- "$1" plain || { echo "no \"$1\" in"; cat plain; return 1; }; }
same() { [ "$2" = "$3" ] || { echo "$1: $2, not $3"; return 1; }; }
# The eight bytes at OFFSET of FILE, as a number: a sector's stamp is its number * 256 + the depth of the last pass over it.
word() { od -An -v -t u8 -j "$2" -N 8 "$1" | tr -d ' '; }

it_ends_with_0_and_a_summary() {
    guest 0 && says "guest: all well: 1 vCPU, " && says "described by ACPI" && says '"vireo-ramdisk", 1024 KiB:'
}

it_starts_every_vcpu_by_ACPI_and_by_MP_table() {
    local cpus tables
    for cpus in 2 5 16; do
        for tables in "" --no-acpi; do
            # shellcheck disable=SC2086  # none or one word
            guest 0 --cpus $cpus $tables && says "vCPUs: $cpus of $cpus started" || return 1
        done
    done
    says "described by an MP table"
}

it_counts_the_memory_it_was_given() {
    local mib above
    for mib in 2 64 1000; do
        guest 0 --memory ${mib}M || return 1
        above=$(sed -n 's/^memory: \([0-9]*\) MiB.*/\1/p' plain)
        # What a PC reserves below 1 MiB is missing, and no more.
        [ "$above" -le $mib ] && [ "$above" -ge $((mib - 1)) ] || { echo "$mib MiB given, $above found"; return 1; }
    done
}

it_names_every_device() {
    truncate -s 64K one two
    guest 0 --rng --disk path=one --disk path=two && says "virtio-rng (id 4)" && says "32 bytes of entropy" || return 1
    same disks "$(grep -c '^virtio-blk (id 2)' plain)" 2 && says ", 2 disks"
}

it_has_a_serial_port_alone_when_told_so() {
    guest 0 --console-device serial --rng && says "guest: all well" && says "virtio-rng (id 4) at" || return 1
    ! grep "virtio-console" plain || return 1
    guest 0 --console-device both && says "virtio-console (id 3)"
}

it_writes_the_scratch_disk_from_the_first_sector_to_the_last() {
    truncate -s 1M scratch
    guest 0 --disk path=scratch,serial=$SCRATCH || return 1
    local sector
    for sector in 0 1 255 256 1000 2047; do
        same "first stamp of sector $sector" "$(word scratch $((sector * 512)))" $((sector * 256 + 16)) || return 1
        same "last stamp of sector $sector" "$(word scratch $((sector * 512 + 504)))" $((sector * 256 + 16)) || return 1
    done
}

it_copes_with_a_disk_of_one_sector_and_an_odd_one() {
    truncate -s 512 tiny
    truncate -s 66048 odd
    guest 0 --disk path=tiny,serial=$SCRATCH && guest 0 --disk path=odd,serial=$SCRATCH || return 1
    same "stamp of the last sector" "$(word odd 65536)" $((128 * 256 + 16))
}

it_leaves_every_other_disk_as_it_was() {
    head -c 300000 /dev/urandom > data
    truncate -s 300032 data
    local before
    before=$(sha256sum < data)
    guest 0 --disk path=data && guest 0 --disk path=data,serial=vireo-ramdisk-not &&
        guest 0 --disk path=data,readonly,serial=$SCRATCH || return 1
    same "the image" "$(sha256sum < data)" "$before"
}

it_reports_a_disk_that_can_not_be_written() {
    mkdir -p small
    mount -t tmpfs -o size=256k none small || return 1
    truncate -s 1M small/scratch
    guest 30 --disk path=small/scratch,serial=$SCRATCH && says "guest: the write of 8192 bytes at sector " && says "ended with status 1"
}

promises=(it_ends_with_0_and_a_summary it_starts_every_vcpu_by_ACPI_and_by_MP_table it_counts_the_memory_it_was_given it_names_every_device
    it_has_a_serial_port_alone_when_told_so
    it_writes_the_scratch_disk_from_the_first_sector_to_the_last it_copes_with_a_disk_of_one_sector_and_an_odd_one
    it_leaves_every_other_disk_as_it_was)
for promise in "${promises[@]}"; do check "${promise//_/ }" "$promise"; done
if [ "$(id -u)" = 0 ]; then
    check "it reports a disk that can not be written" it_reports_a_disk_that_can_not_be_written
else
    skip "it reports a disk that can not be written" "a full file system takes root to make"
fi
tap_done
