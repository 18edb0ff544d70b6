#!/bin/bash
# `vireo stat --exits` and `--where`: exits that KVM handles alone, by its tracepoints, in the emulated AMD-V host, where they fire. The guest makes
# three CPUIDs, which KVM answers alone, to each write to a port, which the monitor does.
# time limit: 300
# shellcheck source=tests/boot/boot.sh
. "$(dirname "$0")/boot.sh" amdv

cat > ratio.S << 'END_OF_GUEST'
        .globl _start, asks, tells
        .type _start, @function
        .type asks, @function
        .type tells, @function
_start: jmp asks
asks:   xor %eax, %eax
first:  cpuid
        xor %eax, %eax
        cpuid
        xor %eax, %eax
        cpuid
        .size asks, . - asks
tells:  out %al, $0x80
        jmp asks
        .size tells, . - tells
        .section .note.GNU-stack, "", @progbits
END_OF_GUEST
gcc -nostdlib -static -no-pie -Wl,-Ttext=0x1000000 -Wl,--build-id=none ratio.S -o ratio || exit 1
ends_vms() {
    [ -n "${vmm-}" ] || return 0
    kill "$vmm" && wait "$vmm" || true
    vmm=
}
# runs NAME OPTION...: a VM of that guest, until it is ended.
runs() {
    "$VIREO" run --kernel ratio --memory 32M --console off --name "$1" --timeout 100s "${@:2}" > /dev/null 2> errors < /dev/null &
    vmm=$!
    eventually answers "$1"
}
answers() { "$VIREO" stat "$1" > /dev/null 2>&1; }
# told PERL: what it makes of the object in ./object; %row by reason.
told() { perl -MJSON::PP -0777 -e '$o = decode_json(<STDIN>); %row = map { $_->{reason} => $_ } @{$o->{rows}}; print eval $ARGV[0]; die $@ if $@' "$1" < object; }

# Counts of a window may differ by what is cut off at its ends.
kvms_own_exits_are_counted_and_timed_beside_the_monitors() {
    runs web
    "$VIREO" stat web --exits=2s --json > object
    ends_vms
    # shellcheck disable=SC2016  # Perl's
    equal "three to one" "$(told '($k, $m) = @row{qw(cpuid io)}; abs($k->{count} - 3 * $m->{count}) <= 4 && $m->{count} > 10 ? "yes" : "$k->{count} $m->{count}"')" yes
    # shellcheck disable=SC2016
    equal "by whom" "$(told '"$row{cpuid}{by} $row{io}{by}"')" "kvm monitor"
    # shellcheck disable=SC2016
    equal times "$(told '($m) = @row{io}; $m->{ours_ns} > 0 && $m->{ours_ns} < $m->{total_ns} && $m->{p50_ns} <= $m->{p99_ns} && $m->{p99_ns} <= $m->{max_ns} &&
        $row{cpuid}{total_ns} / $row{cpuid}{count} < $m->{total_ns} / $m->{count} ? "yes" : "no"')" yes
    # shellcheck disable=SC2016
    equal sums "$(told '$n += $_->{count} for @{$o->{rows}}; $o->{lost} == 0 && $n == $o->{vcpus}[0]{count} ? "yes" : "$n $o->{lost}"')" yes
    # The recorder's window is a little longer.
    # shellcheck disable=SC2016
    equal recorder "$(told '$o->{vcpus}[0]{recorded} >= $row{io}{count} ? "yes" : "$o->{vcpus}[0]{recorded}"')" yes
}
the_addresses_are_those_of_the_instructions() {
    runs web
    "$VIREO" stat web --where=1s --json > object
    "$VIREO" stat web --exits --where=500ms > text
    ends_vms
    local first
    first=0x$(nm ratio | sed -n 's/^0*\([0-9a-f]*\) t first$/\1/p')
    # shellcheck disable=SC2016
    equal functions "$(told 'join " ", sort grep { $_ } map { $_->{function} && "$_->{function}+$_->{offset}:$_->{reason}" } grep { $_->{reason} =~ /cpuid|io/ } @{$o->{where}}')" \
        "first+0:cpuid first+4:cpuid first+8:cpuid tells+0:io"
    grep -q "^$first  *[1-9][0-9]* .* cpuid  *first+0x0" text && grep -q '^cpuid  *KVM  *[1-9]' text && grep -q '^vCPU 0: [1-9][0-9]* exits' text || { cat text; return 1; }
}
each_vcpu_has_its_own_count() {
    runs web --cpus 2
    "$VIREO" stat web --exits=500ms --json > object
    ends_vms
    # The second one waits to be started, which is not the guest's habit: it has no exits.
    # shellcheck disable=SC2016
    equal vcpus "$(told 'join " ", map { $_->{count} > 0 ? "some" : "none" } @{$o->{vcpus}}')" "some none"
}
symbols_may_be_a_list() {
    nm ratio | sed 's/ t first/ T first/' > list
    runs web
    "$VIREO" stat web --where=300ms --symbols list > text
    ends_vms
    grep -q ' first+0x0$' text && grep -q ' tells+0x0$' text || { cat text; return 1; }
}
a_vm_that_ends_meanwhile_is_told_of_until_then() {
    runs web
    local got=0
    ( sleep 1; kill "$vmm" ) &
    "$VIREO" stat web --exits=60s --json > object || got=$?
    wait "$vmm" || true
    vmm=
    equal status $got 0
    # shellcheck disable=SC2016
    equal window "$(told '$o->{window_ns} < 30e9 && $row{io}{count} > 0 ? "short" : "long"')" short
}
who_may_not_trace_is_told_how() {
    runs web
    chmod -R o+rX /sys/kernel/tracing 2> /dev/null || true
    local got=0
    setpriv --bounding-set -all --inh-caps -all "$VIREO" stat web --exits > text 2> said || got=$?
    ends_vms
    equal status $got 126
    grep -q 'CAP_PERFMON' said || { cat said; return 1; }
}
without_tracefs_it_says_how_to_mount_it() {
    runs web
    local got=0
    umount /sys/kernel/tracing && { [ ! -d /sys/kernel/debug/tracing ] || umount /sys/kernel/debug/tracing 2> /dev/null || true; }
    "$VIREO" stat web --exits > text 2> said || got=$?
    mount -t tracefs none /sys/kernel/tracing
    ends_vms
    equal status $got 126
    grep -q 'mount -t tracefs' said || { cat said; return 1; }
}

mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing || exit 1
run_tests kvms_own_exits_are_counted_and_timed_beside_the_monitors the_addresses_are_those_of_the_instructions each_vcpu_has_its_own_count \
    symbols_may_be_a_list a_vm_that_ends_meanwhile_is_told_of_until_then who_may_not_trace_is_told_how without_tracefs_it_says_how_to_mount_it
