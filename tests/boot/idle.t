#!/bin/bash
# A guest that does nothing costs nothing. In the emulated AMD-V host under the instruction clock, where time passes only as instructions do and
# idle time is skipped: 300 s of the host's clock take a few of ours, and the CPU time is exact.
# time limit: 900
. "$(dirname "$0")/boot.sh" amdv --count-instructions --memory 2G --timeout 240

IDLE_S=300
ALLOWED_MS=300          # 0.1 % of a CPU

# cpu_ms PID: what it has used, in user and kernel mode, all threads.
cpu_ms() {
    local fields
    read -r -a fields <<< "$(sed 's/.*) //' "/proc/$1/stat")"
    echo $(((fields[11] + fields[12]) * 1000 / $(getconf CLK_TCK)))
}

nothing_done_for_300_s_is_no_cpu_time() {
    root_copy root
    "$VIREO" run --kernel "$IMAGES/vmlinuz" --initrd "$IMAGES/initramfs" --memory 256M --disk path=root --rng \
        --cmdline "console=ttyS0 quiet root=/dev/vda $(encoded 'echo begin; sleep 1000')" > console 2> errors < /dev/null &
    local vmm=$! before after
    eventually grep -q begin console
    sleep 5
    before=$(cpu_ms $vmm)
    sleep $IDLE_S
    after=$(cpu_ms $vmm)
    kill $vmm
    wait $vmm || true
    echo "used in $IDLE_S s: $((after - before)) ms"
    [ "$before" -gt 0 ]
    [ $((after - before)) -le $ALLOWED_MS ]
}

run_tests nothing_done_for_300_s_is_no_cpu_time
