#!/bin/bash
# Debian's stock kernel in the emulated AMD-V host: how it starts and how it ends. Without ACPI: no_acpi.t.
# time limit: 900
# shellcheck source=tests/boot/watched.sh
. "$(dirname "$0")/watched.sh"
. "$(dirname "$0")/boot.sh" amdv --memory 2G --timeout 420

one_vcpu_boots_from_the_initrd_alone() {
    ends_with 0 poweroff linux 'echo cpus=$(nproc); echo disks=$(ls /sys/block | grep -c vd)'
    equal vCPUs "$(value cpus)" 1
    equal disks "$(value disks)" 0
}

two_vcpus_boot_from_a_disk() {
    root_copy root
    EXTRA="root=/dev/vda rw" ends_with 0 poweroff \
        linux 'echo cpus=$(nproc); mount; touch /etc/was-here' --cpus 2 --memory 512M --disk path=root
    equal vCPUs "$(value cpus)" 2
    said "/dev/vda on / type ext4 (rw,relatime)"
    debugfs -R "stat /etc/was-here" root 2> /dev/null | grep -q "Type: regular"
    e2fsck -fn root > fsck.log 2>&1 || { cat fsck.log; return 1; }
}

the_elf_kernel_inside_the_bzimage_boots_too() {
    local status=0
    guest --kernel "$IMAGES/vmlinux" --initrd "$IMAGES/initramfs" --cmdline "console=ttyS0 quiet $(encoded 'echo here')" || status=$?
    equal status $status 0
    said here
}

entropy_comes_from_the_host_if_asked_for() {
    ends_with 0 poweroff linux 'cat /sys/class/misc/hw_random/rng_current; head -c 64 /dev/hwrng | wc -c' --rng
    said virtio_rng.0
    said 64
}

the_virtio_console_is_there_as_hvc0() {
    ends_with 0 poweroff linux 'echo over virtio > /dev/hvc0; sleep 1'
    said "over virtio"
}

the_guests_own_status_is_handed_back() {
    ends_with 17 guest-status linux 'exit 17'
}

a_reboot_ends_the_run_with_status_0() {
    ends_with 0 reset linux 'reboot -f'
}

a_kernel_panic_is_status_120() {
    EXTRA="panic=-1" ends_with 120 panic linux 'echo c > /proc/sysrq-trigger; sleep 60'
}

the_time_limit_is_status_124() {
    ends_with 124 timeout linux 'sleep 600' --timeout 15
}

a_guest_under_the_embedded_default_ends_with_0() {
    guest
}

sixteen_vcpus_come_up() {
    ends_with 0 poweroff linux 'echo cpus=$(nproc)' --cpus 16 --memory 512M
    equal vCPUs "$(value cpus)" 16
}

a_vm_is_watched_while_it_runs() {
    WATCH_CURL=yes is_watched --kernel "$IMAGES/vmlinuz" --initrd "$IMAGES/initramfs" --cmdline "console=ttyS0 quiet $(encoded 'sleep 1000')"
}

run_tests one_vcpu_boots_from_the_initrd_alone two_vcpus_boot_from_a_disk the_elf_kernel_inside_the_bzimage_boots_too \
    entropy_comes_from_the_host_if_asked_for the_virtio_console_is_there_as_hvc0 \
    the_guests_own_status_is_handed_back a_reboot_ends_the_run_with_status_0 a_kernel_panic_is_status_120 the_time_limit_is_status_124 \
    a_guest_under_the_embedded_default_ends_with_0 sixteen_vcpus_come_up a_vm_is_watched_while_it_runs
