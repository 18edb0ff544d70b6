#!/bin/bash
# Linux on a machine described by an MP table (--no-acpi), in the emulated AMD-V host. Debian's generic kernel reads one, its cloud kernel does
# not; virtio devices on the command line are read by none it packages, so here is no disk. guest.t has the built-in guest find them. (Debian's 6.1
# source built with CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES did so once, by hand: two disks and a network card, on two processors.)
# time limit: 900
if [ -z "${VIREO_LAB-}" ]; then
    tree=$(cd "$(dirname "$0")/../.." && pwd -P)
    . "$tree/scripts/images.d/debian.sh"
    GENERIC=$(debian_generic_kernel) || exit 1
    export GENERIC
fi
. "$(dirname "$0")/boot.sh" amdv --memory 2G --timeout 420

# Its modules are the cloud kernel's, which this one refuses: none is needed. Without ACPI Linux can't power off, but it can reset.
two_vcpus_and_their_interrupts_come_from_the_mp_table() {
    local look='echo cpus=$(nproc); echo acpi=$(ls /sys/firmware | grep -c acpi); dmesg | grep -o "Intel Multi[P].*"; grep IO-APIC /proc/interrupts'
    KERNEL=$GENERIC ends_with 0 reset linux "$look; reboot -f" --cpus 2 --memory 512M --no-acpi
    equal vCPUs "$(value cpus)" 2
    equal "ACPI folders" "$(value acpi)" 0
    said "Intel MultiProcessor Specification v1.4"
    grep -q "IO-APIC  *4-edge  *ttyS0" console
}

run_tests two_vcpus_and_their_interrupts_come_from_the_mp_table
