#!/bin/bash
# Sandboxes where virtualization is in the processor: on AMD-V user code runs in the VM itself, and nested paging takes the place of shadow
# tables. The same programs as on /dev/kvm here; on ARM they are among arm64_programs.t.
# time limit: 600
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
. tests/boot/again.sh
work=$(mktemp -d -p build)
trap 'rm -rf "$work"' EXIT
programs=(build/tests/kvm/test_x86_user build/tests/kvm/test_x86_space build/tests/kvm/test_sandbox)
make --no-print-directory "${programs[@]}" > "$work/make" 2>&1 || { cat "$work/make"; echo "Bail out! not built"; exit 1; }
for program in "${programs[@]}"; do
    check "${program##*/}_on_amd_v" in_lab amdv --timeout 200 -- env TEST_ROUNDS=60 "$program"
done
cat > "$work/script" << 'EOF'
n=0; while read -r a b; do ((n += a)); done < <(for i in 1 2 3; do echo $i x; done); echo $n
printf '%s\n' z y x | while read -r l; do echo "<$l>"; done
exit 7
EOF
shell_in_a_sandbox() {
    in_lab amdv --timeout 200 -- sh -c "build/vireo exec --read $PWD/$work=/w $(command -v bash-static) /w/script; echo status \$?" > "$work/out"
    printf '6\n<z>\n<y>\n<x>\nstatus 7\n' | diff - <(grep -v '^#' "$work/out")
}
check a_shell_script_with_pipes_runs_on_amd_v shell_in_a_sandbox
tap_done
