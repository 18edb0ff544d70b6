#!/bin/bash
# The same machine on Intel VT-x: one boot in Bochs, with a root disk, and what can be seen of it; before it a sandboxed program, in the same host.
# time limit: 900
cd "$(dirname "$0")/../.." || exit 1
scripts/images || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One line: nothing here needs an escape of guest/linux/init.
command='echo userspace=$(uname -r); mount; echo kept > /etc/kept; sync; echo 3 > /proc/sys/vm/drop_caches; echo disk=$(cat /etc/kept); exit 17'
status=0
# shellcheck disable=SC2016  # the host's
scripts/lab vtx --memory 1G --timeout 850 -- sh -c 'build/vireo exec build/guest/work.elf sha256 1 && exec "$@"' sh build/vireo run --kernel build/images/vmlinux --initrd build/images/initramfs --memory 256M \
    --disk path=build/images/root.ext4 --cmdline "console=ttyS0 quiet root=/dev/vda rw vireo.run=\"$command\"" \
    > "$work/out" 2> "$work/err" < /dev/null || status=$?

n=0 failed=
promise() {
    n=$((n + 1))
    if "${@:2}"; then echo "ok $n - $1"; else echo "not ok $n - $1"; failed=yes; fi
}
said() { tr -d '\r' < "$work/out" | grep -q -- "$1"; }

echo 1..5
# Of a MiB of zeros, as sha256sum has it.
promise a_sandboxed_program_runs_on_vt_x said '^30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58$'
promise linux_reaches_userspace_on_vt_x said '^userspace=6\.1\.'
promise its_root_is_our_disk said '^/dev/vda on / type ext4 (rw'
promise what_it_writes_can_be_read_again said '^disk=kept$'
promise its_status_comes_back_through_both_machines [ $status = 17 ]
[ -z "$failed" ] || { echo "# status $status"; tail -n 40 "$work/err" "$work/out" | sed 's/^/# /'; }
