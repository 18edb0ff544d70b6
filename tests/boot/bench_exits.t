#!/bin/bash
# `vireo bench exits` on hosts with virtualization in the processor: what must hold anywhere, on AMD-V; every row on VT-x.
# time limit: 900
cd "$(dirname "$0")/../.." || exit 1
. tests/boot/tap.sh
. tests/boot/again.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

make --no-print-directory build/tests/kvm/test_bench_exits > "$work/make" 2>&1 || { cat "$work/make"; echo "Bail out! not built"; exit 1; }

check on_amd_v_rows_counts_phases_watchdog_and_delay_are_as_promised \
    in_lab amdv --timeout 150 -- build/tests/kvm/test_bench_exits

# The worker's lines, since what was measured before it might be ended counts.
scripts/lab vtx --timeout 500 -- build/vireo-bench bench exits --worker --samples 10 > "$work/lines" 2> "$work/err" < /dev/null
tr -d '\r' < "$work/lines" | sed 's/": /":/g; s/, "/,"/g' > "$work/vtx"

every_row_has_a_status() {
    local row said
    build/vireo bench exits --list > "$work/list"
    while read -r row _; do
        said="^{\"type\":\"row\",\"row\":\"$row\",.*\"status\":\"\(ok\|no-exit\|unsupported\)\""
        grep -q "$said" "$work/vtx" || { echo "# $row has none"; cat "$work/err" "$work/vtx"; return 1; }
    done < "$work/list"
    [ -s "$work/list" ]
}
row_is_ok() { grep "\"row\":\"$1\"" "$work/vtx" | grep '"status":"ok"' | grep -q '"verdict":"\(agrees\|explained\)"' || { cat "$work/err" "$work/vtx"; return 1; }; }
counts_agree() { ! grep '"status":"ok"' "$work/vtx" | grep '"agrees":false'; }
check on_vt_x_every_row_ends_with_a_status every_row_has_a_status
check on_vt_x_every_row_that_is_ok_has_the_exits_that_were_expected counts_agree
for row in nop cpuid hypercall_null pio_ioeventfd mmio_lapic hlt_pending first_touch_2m pio_out_user mmio_wr_user msr_user; do
    check "on_vt_x_${row}_is_measured" row_is_ok "$row"
done
tap_done
