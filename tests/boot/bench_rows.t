#!/bin/bash
# What lies between the two counter reads of each row of `vireo bench exits`, on both architectures: the row's instruction and nothing else.
# time limit: 120
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

declare -A text
# The instruction of each row, as docs/exit-latency.md defines the row, in the disassembler's words. After ";" is what the row does besides: a
# row that waits looks whether its interrupt was taken, and leaves at the second instruction when it was.
text[x86_rows]="nop: nop
counter: rdtsc
msr_passthrough: rdmsr
load: mov (%rdi),%rax
cpuid: cpuid
hypercall_null: vmcall
hypercall_null_amd: vmmcall
msr_rd_k: rdmsr
msr_wr_tscdl: wrmsr
cr8: mov %rax,%cr8
dr7_wr: mov %rax,%db7
wbinvd: wbinvd
pio_in_kernel: in (%dx),%al
pio_ioeventfd: out %al,(%dx)
mmio_ioeventfd: mov %eax,(%rdi)
mmio_lapic: mov (%rdi),%eax
ipi_rtt: wrmsr ; cmp %r9,0x0(%rip) jne pause jmp
ipi_self: wrmsr ; cmp %r9,0x0(%rip) jne pause jmp
ipi_send: wrmsr
hlt_pending: sti ; hlt
first_touch_4k: mov %al,(%rdi)
first_touch_2m: mov %al,(%rdi)
dirty_log_wp: mov %al,(%rdi)
pio_out_user: out %al,(%dx)
pio_in_user: in (%dx),%al
pio_string_user: rep insb (%dx),%es:(%rdi)
mmio_rd_user: mov (%rdi),%eax
mmio_wr_user: mov %eax,(%rdi)
msr_user: rdmsr
hlt_user: hlt
never_exits: pause ; jmp"
text[arm64_rows]="nop: nop
counter: mrs x2, cntvct_el0
load: ldr x2, [x0]
eoi_spurious: msr icc_eoir1_el1, x1
eoi_spurious_v2: str w1, [x0]
hypercall_null: hvc #0x0
psci_version: hvc #0x0
sysreg_id: mrs x2, id_aa64pfr0_el1
mmio_vgic: ldr w2, [x0]
mmio_ioeventfd: str w1, [x0]
ipi_rtt: msr icc_sgi1r_el1, x1 ; ldr x14, [x12] cmp x14, x13 b.ne yield b
ipi_rtt_v2: str w1, [x0] ; ldr x14, [x12] cmp x14, x13 b.ne yield b
ipi_send: msr icc_sgi1r_el1, x1
ipi_send_v2: str w1, [x0]
hlt_pending: wfi
first_touch_4k: strb w1, [x0]
first_touch_2m: strb w1, [x0]
dirty_log_wp: strb w1, [x0]
mmio_rd_user: ldr w2, [x0]
mmio_wr_user: str w1, [x0]
never_exits: yield ; b"
# What every span has before and behind that. rdtsc overwrites rax and rdx, whose operands wait in r10 and r11.
text[x86_once]="lfence rdtsc xchg %rax,%r10 xchg %r11,%rdx | lfence rdtsc jmp"
text[x86_many]="lfence rdtsc xchg %rax,%r10 xchg %r11,%rdx mov %r12,%rdi mov %r13,%rax mov %r14,%rcx mov %r15,%rdx mov 0x0(%rip),%r9 | add %r8,%r12 dec %ebp jne lfence rdtsc jmp"
text[arm64_once]="isb mrs x9, cntvct_el0 | isb mrs x10, cntvct_el0 b"
text[arm64_many]="isb mrs x9, cntvct_el0 mov x0, x4 mov x1, x5 ldr x13, [x12] | add x4, x4, x7 subs w6, w6, #0x1 b.ne isb mrs x10, cntvct_el0 b"
# Rows with another beginning or end than two reads of this processor's: a handler's first act, the monitor's stamp, a deadline.
elsewhere="hlt_wake_running hlt_wake_polling hlt_wake_descheduled irqfd_running irqfd_halted timer_lat kick_user"

declare -A tool=([x86]='' [arm64]=aarch64-linux-gnu-)
[ "$(uname -m)" = aarch64 ] && tool=([x86]=x86_64-linux-gnu- [arm64]='')

# assemble ARCH SOURCE OBJECT
assemble() { "${tool[$1]}gcc" -iquote "guest/$1" -c -o "$3" "$2"; }

# spans ARCH OBJECT: "NAME: INSTRUCTION INSTRUCTION ..." for each, up to where it jumps back to `taken`. Of a branch only the mnemonic.
spans() {
    "${tool[$1]}objdump" -d --no-show-raw-insn "$2" | awk '
        /^[0-9a-f]+ <.*>:$/ { name = $2; gsub(/[<>:]/, "", name); if (name ~ /^(once|many)_/) printf "%s%s:", n++ ? "\n" : "", name; next }
        name !~ /^(once|many)_/ || !/:\t/ { next }
        {
            is_end = /<taken>/
            sub(/^[^\t]*\t/, ""); sub(/[ \t]*(# |\/\/).*/, ""); gsub(/[ \t]+/, " "); sub(/ $/, ""); sub(/ <.*/, "")
            if ($1 ~ /^(j|b$|b\.)/) $0 = $1
            printf " %s", $0
            if (is_end) name = ""
        }
        END { print "" }'
}

# expected ARCH: the same, from the tables above
expected() {
    local once=${text[$1_once]} many=${text[$1_many]} row=nothing what='' frame
    while :; do
        what=${what/ ;/}
        for frame in once many; do
            printf '%s_%s: %s\n' $frame "$row" "$([ $frame = once ] && echo "${once/ |/${what:+ $what}}" || echo "${many/ |/${what:+ $what}}")"
        done
        IFS= read -r row || break
        what=${row#*: } row=${row%%:*}
    done <<< "${text[$1_rows]}"
}

is_the_instruction_alone() { # ARCH SOURCE
    assemble "$1" "$2" "$work/$1.o" && spans "$1" "$work/$1.o" | sort > "$work/is" && expected "$1" | sort > "$work/should" && [ -s "$work/is" ] &&
        diff "$work/should" "$work/is"
}
# One instruction more, in a row or in the baseline alone, is found.
finds() { # ARCH PATTERN REPLACEMENT
    sed "s/$2/$3/" "guest/bench/$1_rows.S" > "$work/planted.S"
    cmp -s "guest/bench/$1_rows.S" "$work/planted.S" && { echo "nothing was planted"; return 1; }
    ! is_the_instruction_alone "$1" "$work/planted.S" > /dev/null
}
# Each row that the guest has is in the table above, or its ends are elsewhere.
every_row_is_there() { # ARCH
    local row known=${text[$1_rows]}
    # shellcheck disable=SC2013 # names without spaces
    for row in $(sed -n '/bench_code\[BENCH_ROW_COUNT\]/,$s/.*\(SPAN(\|\[BENCH_\)\([a-z0-9_]*\).*/\2/p' "guest/bench/$1.c"); do
        grep -q "^$row: " <<< "$known" || grep -qw "$row" <<< "$elsewhere" || { echo "no $row"; return 1; }
    done
    [ -n "${row:-}" ]
}
# What handles an interrupt reads the counter as soon as it has registers to read it into.
reads_the_counter_first() { # ARCH SYMBOL INSTRUCTION...
    assemble "$1" "guest/bench/$1_$2.S" "$work/handler.o" || return 1
    "${tool[$1]}objdump" -d --no-show-raw-insn "$work/handler.o" | sed -n "/$3/,\$p" | grep -o $':\t[a-z]*' | head -n $(($# - 3)) | cut -f 2 | tr '\n' ' ' > "$work/first"
    [ "$(cat "$work/first")" = "${*:4} " ] || { cat "$work/first"; return 1; }
}

for arch in x86 arm64; do
    if ! command -v "${tool[$arch]}gcc" > /dev/null; then
        skip "${arch}_rows_are_an_instruction_alone" "there is no compiler for $arch here"
        continue
    fi
    check "${arch}_rows_are_an_instruction_alone" is_the_instruction_alone $arch "guest/bench/${arch}_rows.S"
    check "${arch}_has_no_row_beside_these" every_row_is_there $arch
done
check x86_one_more_in_a_row_is_found finds x86 'SPAN pio_out_user, "out' 'SPAN pio_out_user, "xor %eax, %eax; out'
check x86_one_more_in_the_baseline_is_found finds x86 'SPAN nothing' 'SPAN nothing, "nop"'
check x86_handler_reads_the_counter_first reads_the_counter_first x86 interrupt '<bench_interrupt>:' push push rdtsc
if command -v "${tool[arm64]}gcc" > /dev/null; then
    check arm64_one_more_in_a_row_is_found finds arm64 'SPAN mmio_wr_user, "str' 'SPAN mmio_wr_user, "mov w1, wzr; str'
    check arm64_handler_reads_the_counter_first reads_the_counter_first arm64 vectors ' 280:' stp mrs
fi
tap_done
