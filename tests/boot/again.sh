# shellcheck shell=bash
# in_lab HOST [OPTION...] -- COMMAND...: scripts/lab, what it prints at the end. An emulated AMD-V host that does not end in its time, as happens by
# faults of QEMU's (host_amdv in scripts/lab.d/qemu.sh), is started again, once.
in_lab() {
    local lines status=0 tries=1
    [ "$1" != amdv ] || tries=2
    while :; do
        lines=$(scripts/lab "$@") || status=$?
        [ $status = 124 ] && [ $((tries -= 1)) -gt 0 ] || break
        echo "# the emulated host did not end in time and was started again"
        status=0
    done
    [ -z "$lines" ] || printf '%s\n' "$lines"
    return $status
}
