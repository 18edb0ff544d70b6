#!/bin/bash
# `vireo bench exits` on hosts with virtualization in the processor: what must hold anywhere, on AMD-V; a few rows on VT-x.
# time limit: 900
cd "$(dirname "$0")/../.." || exit 1
. tests/boot/tap.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make --no-print-directory build/tests/kvm/test_bench_exits > "$work/make" 2>&1 || { cat "$work/make"; echo "Bail out! not built"; exit 1; }

check on_amd_v_rows_counts_phases_watchdog_and_delay_are_as_promised \
    scripts/lab amdv --timeout 300 -- build/tests/kvm/test_bench_exits

rows=nop,cpuid,hypercall_null,pio_out_user,mmio_wr_user
scripts/lab vtx --timeout 400 -- build/vireo-bench bench exits --worker --samples 20 --rows $rows > "$work/lines" 2> "$work/err" < /dev/null
tr -d '\r' < "$work/lines" > "$work/vtx"

row_is_ok() { grep -q "^{\"type\":\"row\",\"row\":\"$1\",.*\"status\":\"ok\"" "$work/vtx" || { cat "$work/err" "$work/vtx"; return 1; }; }
counts_agree() { grep "\"row\":\"$1\"" "$work/vtx" | grep -q '"agrees":true' || { cat "$work/vtx"; return 1; }; }
for row in ${rows//,/ }; do
    check "on_vt_x_${row}_is_measured" row_is_ok "$row"
    check "on_vt_x_exits_of_${row}_are_as_expected" counts_agree "$row"
done
tap_done
