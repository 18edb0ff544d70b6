#!/bin/bash
# Linux on our virtio block device, in the emulated AMD-V host: every byte arrives, and the host's troubles become the guest's errors.
# time limit: 900
. "$(dirname "$0")/boot.sh" amdv --memory 3G --timeout 420

DATA_MB=100

data_read_in_the_guest_is_what_the_host_wrote_and_the_reverse() {
    # The guest copies one disk to the other with the halves swapped: neither side can be right by leaving things as they are.
    local half=$((DATA_MB / 2))
    head -c ${DATA_MB}M /dev/urandom > from-host
    truncate -s ${DATA_MB}M from-guest
    { tail -c ${half}M from-host; head -c ${half}M from-host; } > expected
    ends_with 0 poweroff linux "echo \"read=\$(md5sum < /dev/vda)\"
        dd if=/dev/vda of=/dev/vdb bs=1M skip=$half count=$half 2> /dev/null
        dd if=/dev/vda of=/dev/vdb bs=1M seek=$half count=$half conv=fsync 2> /dev/null
        echo 3 > /proc/sys/vm/drop_caches; echo \"wrote=\$(md5sum < /dev/vdb)\"" \
        --memory 512M --disk path=from-host,readonly --disk path=from-guest
    equal "what the guest read" "$(value read)" "$(md5sum < from-host)"
    equal "what the guest reads back" "$(value wrote)" "$(md5sum < expected)"
    cmp from-guest expected
}

a_read_only_disk_refuses_writes() {
    root_copy root
    local before
    before=$(sha256sum < root)
    EXTRA="root=/dev/vda ro" ends_with 0 poweroff linux 'echo ro=$(cat /sys/block/vda/ro)
        echo x > /dev/vda && echo raw write went through
        mount -o remount,rw / && echo remount went through
        true' --disk path=root,readonly
    equal "the guest's read-only flag" "$(value ro)" 1
    never_said "went through"
    equal "the image" "$(sha256sum < root)" "$before"
}

a_sparse_image_stays_sparse_and_discard_gives_space_back() {
    truncate -s 1G sparse
    ends_with 0 poweroff linux 'dd if=/dev/urandom of=/dev/vda bs=1M count=32 seek=500 oflag=direct 2>/dev/null; sync' --disk path=sparse
    local kib
    kib=$(du -k sparse | cut -f 1)
    [ "$kib" -ge 32768 ] && [ "$kib" -lt 34000 ] || { echo "32 MiB written, $kib KiB used"; return 1; }
    ends_with 0 poweroff linux 'blkdiscard /dev/vda' --disk path=sparse
    kib=$(du -k sparse | cut -f 1)
    [ "$kib" -lt 1000 ] || { echo "$kib KiB used after discard"; return 1; }
}

a_full_host_disk_is_an_error_in_the_guest_and_not_the_end_of_it() {
    mkdir -p small
    mount -t tmpfs -o size=16m small small
    truncate -s 64M small/image
    ends_with 0 poweroff linux 'dd if=/dev/zero of=/dev/vda bs=1M count=48 conv=fsync && echo no error
        echo still here; dd if=/dev/vda bs=1M count=4 of=/dev/null 2>/dev/null && echo reads on' --disk path=small/image || {
        umount small; return 1; }
    umount small
    said "still here"
    said "reads on"
    never_said "no error"
}

requests_of_every_size_and_place_survive_two_vcpus() {
    truncate -s 64M image
    ends_with 0 poweroff linux 'mke2fs /dev/vda > /dev/null 2>&1; mount -t ext2 /dev/vda /mnt || mount -t ext4 /dev/vda /mnt
        for n in 1 2 3 4; do head -c $((n * 1234567)) /dev/urandom > /mnt/$n & done; wait
        (cd /mnt; sha256sum 1 2 3 4 > sums); umount /mnt; echo 3 > /proc/sys/vm/drop_caches
        mount -t ext4 /dev/vda /mnt; cd /mnt; sha256sum -c sums > /dev/null && echo all there' --cpus 2 --disk path=image
    said "all there"
    e2fsck -fn image > fsck.log 2>&1 || { cat fsck.log; return 1; }
    equal "a file as the host sees it" "$(debugfs -R 'cat /3' image 2> /dev/null | sha256sum | cut -d ' ' -f 1)" \
        "$(debugfs -R 'cat /sums' image 2> /dev/null | sed -n 's/ .*3$//p')"
}

a_killed_vmm_leaves_the_image_free_and_what_was_synced_on_it() {
    truncate -s 8M image
    "$VIREO" run --kernel "$IMAGES/vmlinuz" --initrd "$IMAGES/initramfs" --disk path=image --cmdline \
        "console=ttyS0 quiet $(encoded 'echo precious | dd of=/dev/vda conv=fsync 2>/dev/null; echo now; sleep 600')" > console 2> errors < /dev/null &
    local vmm=$!
    eventually grep -q now console
    kill -9 $vmm
    wait $vmm || true
    equal "the synced data" "$(head -c 8 image)" precious
    ends_with 0 poweroff linux 'head -n 1 /dev/vda' --disk path=image
    said precious
}

two_machines_may_not_write_one_image() {
    truncate -s 8M image
    "$VIREO" run --kernel "$IMAGES/vmlinuz" --initrd "$IMAGES/initramfs" --disk path=image \
        --cmdline "console=ttyS0 quiet $(encoded 'echo now; sleep 600')" > first.console 2> errors < /dev/null &
    local vmm=$! status=0
    eventually grep -q now first.console
    linux true --disk path=image || status=$?
    kill $vmm
    wait $vmm || true
    equal status $status 125
    grep -q image errors
}

an_image_cut_short_under_the_machine_is_an_error_in_the_guest_and_stays_cut() {
    truncate -s 8M image
    "$VIREO" run --kernel "$IMAGES/vmlinuz" --initrd "$IMAGES/initramfs" --disk path=image --cmdline \
        "console=ttyS0 quiet $(encoded 'dd if=/dev/zero of=/dev/vda bs=4k count=1 seek=1500 oflag=direct 2> /dev/null && echo whole
        while dd if=/dev/vda of=/dev/null bs=4k count=1 skip=1500 iflag=direct 2> /dev/null; do sleep 1; done
        dd if=/dev/zero of=/dev/vda bs=4k count=1 seek=1500 oflag=direct 2> /dev/null && echo wrote beyond the end
        dd if=/dev/zero of=/dev/vda bs=4k count=1 seek=10 oflag=direct 2> /dev/null && echo the rest works')" > console 2> errors < /dev/null &
    local vmm=$! status=0
    eventually grep -q whole console
    truncate -s 4M image
    wait $vmm || status=$?
    equal status $status 0
    said "the rest works"
    never_said "wrote beyond"
    grep -qF "the image has become shorter than the disk" errors
    equal "the image's size" "$(stat -c %s image)" $((4 * 1024 * 1024))
}

a_device_that_the_host_has_mounted_is_not_written() {
    local device=/dev/ram0 status=0
    insmod "$(find "${IMAGES%/*}/debs/linux-image-cloud-amd64.amd64" -name brd.ko)" rd_nr=1 rd_size=8192
    mkfs.ext4 -q $device
    mkdir -p mounted
    mount $device mounted
    timeout $BOOT_LIMIT_S "$VIREO" run --disk path=$device > console 2> errors < /dev/null || status=$?
    umount mounted
    cat errors
    equal status $status 125
    grep -qF "$device: Device or resource busy" errors
    guest --disk path=$device
}

run_tests data_read_in_the_guest_is_what_the_host_wrote_and_the_reverse a_read_only_disk_refuses_writes \
    a_sparse_image_stays_sparse_and_discard_gives_space_back a_full_host_disk_is_an_error_in_the_guest_and_not_the_end_of_it \
    requests_of_every_size_and_place_survive_two_vcpus a_killed_vmm_leaves_the_image_free_and_what_was_synced_on_it \
    two_machines_may_not_write_one_image an_image_cut_short_under_the_machine_is_an_error_in_the_guest_and_stays_cut \
    a_device_that_the_host_has_mounted_is_not_written
