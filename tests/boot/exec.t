#!/bin/bash
# vireo exec: programs as Debian packages have them give the same output, files and exit status as natively; every end has its status and
# its sentence; what was not given can't be reached; programs that attack the monitor get nowhere.
# time limit: 600
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
none() { echo "1..0 # SKIP $1"; exit 0; }
[ -w /dev/kvm ] || none "no /dev/kvm to run a guest on"
VIREO=$PWD/build/vireo
TREE=$PWD
LIMIT_S=120
SEEDS=${ATTACK_SEEDS:-25}       # of each attack; make soak has more
BUSYBOX=$(command -v busybox) BASH_STATIC=$(command -v bash-static)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

exec_() { timeout $LIMIT_S "$VIREO" exec "$@"; }

# same NAME OPTIONS... -- PROGRAM ARGUMENTS...: output, errors and status as natively.
same() {
    local options=() native=0 boxed=0
    while [ "$1" != -- ]; do options+=("$1"); shift; done
    shift
    env -i "$@" > native.out 2> native.err < input || native=$?
    exec_ "${options[@]}" -- "$@" > boxed.out 2> boxed.err < input || boxed=$?
    [ $native = $boxed ] && cmp native.out boxed.out && cmp native.err boxed.err || { echo "status $native, boxed $boxed"; head -c 2000 boxed.err; return 1; }
}
# ends STATUS PATTERN OPTIONS...: what vireo exec says on standard error matches.
ends() {
    local want=$1 pattern=$2 got=0
    shift 2
    exec_ "$@" > out 2> err < /dev/null || got=$?
    [ $got = "$want" ] && grep -q -- "$pattern" err || { echo "status $got, not $want"; cat out err; return 1; }
}
# prints PATTERN OPTIONS...
prints() {
    local pattern=$1
    shift
    exec_ "$@" > out 2> err < /dev/null
    grep -q -- "$pattern" out || { cat out err; return 1; }
}

programs_are_built() {
    local dir=$TREE/tests/boot/exec
    gcc -O1 -w -static -D_GNU_SOURCE -o programs "$dir/programs.c" -lm && gcc -O1 -w -static-pie -D_GNU_SOURCE -o programs-pie "$dir/programs.c" -lm &&
        musl-gcc -O1 -static -o musl "$dir/../exec/musl.c" && g++ -O1 -static -o throws "$dir/throws.cc" &&
        gcc -O1 -static -o database "$dir/database.c" -lsqlite3 -lm -ldl -lpthread && gcc -O1 -static -o script "$dir/script.c" -llua5.4 -lm -ldl &&
        gcc -O1 -static -o picture "$dir/picture.c" -lpng -lz -lm &&
        gcc -O1 -static -D_GNU_SOURCE -o every_call "$TREE/tests/hostile/every_call.c" && gcc -O1 -static -D_GNU_SOURCE -o random_code "$TREE/tests/hostile/random_code.c"
}
seq 3000 | awk '{ print ($1 * 7919) % 3000, "line", $1 }' > input
mkdir -p tree/sub tree/empty && cp input tree/sub/file && printf 'x\n' > tree/a && ln -s a tree/link && ln -s /etc/passwd tree/out && ln -s ../../secret tree/up
printf 'secret\n' > secret

check programs_are_built programs_are_built
for applet in "sha256sum" "sort -n" "gzip -c" "awk {s+=\$1}END{print+s}" "wc" "md5sum" "tail -n 5" "od -c" "sed s/line/row/"; do
    # shellcheck disable=SC2086  # words
    check "busybox_${applet%% *}_gives_the_same" same -- "$BUSYBOX" $applet
done
check busybox_find_gives_the_same same --read "$work/tree" -- "$BUSYBOX" find "$work/tree" -type f
check busybox_ls_gives_the_same same --read "$work/tree" -- "$BUSYBOX" ls -1R "$work/tree"
check busybox_grep_gives_the_same same --read "$work/tree" -- "$BUSYBOX" grep -rc line "$work/tree/sub"
check a_shell_script_with_pipes_gives_the_same same -- "$BASH_STATIC" -c 'n=0; while read -r a b c; do ((n += a)); done; echo $n; echo {1..5} | { read -r a b; echo "$b $a"; }
    printf "%s\n" z y x | while read -r l; do echo "<$l>"; done; f() { local x=$1; ((x < 2)) && { echo 1; return; }; echo $((x * $(f $((x - 1))))); }; f 5; [[ abc =~ b(.) ]] && echo "${BASH_REMATCH[1]}"; exit 7'
check sqlite_in_memory_gives_the_same same -- ./database
check lua_gives_the_same same -- ./script
check libpng_and_zlib_give_the_same same -- ./picture
check cxx_exceptions_give_the_same same -- ./throws
check musl_gives_the_same same -- ./musl
check fork_and_signals_give_the_same same -- ./programs fork
check registers_are_kept_through_a_handler same -- ./programs registers
check a_position_independent_program_gives_the_same same -- ./programs-pie registers
a_database_is_a_file() {
    mkdir -p data && exec_ --write "$work/data=/data" ./database /data/db > boxed.out && ./database data/native > native.out && cmp native.out boxed.out &&
        ./database :memory: > /dev/null && cmp data/db data/native
}
check a_database_that_it_writes_is_the_same_file a_database_is_a_file
vi_edits() {
    { sleep 2; printf 'iwritten in vi'; sleep 0.5; printf '\033'; sleep 0.5; printf ':wq\r'; sleep 2; } | timeout 30 script -qec "$VIREO exec --write $work/data=/data --env TERM=vt100 $BUSYBOX vi /data/text" /dev/null > vi.out 2>&1
    grep -q 'written in vi' data/text || { cat -v vi.out | tail -5; return 1; }
}
check vi_edits_a_file_on_a_terminal vi_edits

# ---- ends
check a_fault_is_told_with_its_place ends 139 'SIGSEGV writing to address 0x8, at 0x[0-9a-f]* in write_to_null+0x' ./programs segv
check an_abort_is_told ends 134 'SIGABRT' ./programs abort
check an_illegal_instruction_is_told ends 132 'SIGILL' ./programs trap
check recursion_without_end_is_a_fault ends 139 'SIGSEGV writing to address 0x7f.* in recurse' ./programs recurse
check a_handler_takes_a_fault prints 'signal 11 at 0x8, code 1' ./programs handler
check a_spin_meets_its_time_limit ends 124 'the time limit has passed' --timeout 200ms ./programs spin
check a_sleep_meets_its_time_limit ends 124 'the time limit has passed' --timeout 200ms ./programs sleep
check a_spin_meets_its_limit_of_cpu_time ends 124 'CPU time' --cpu-time 200ms --timeout 60 ./programs spin
check a_flood_of_output_is_cut ends 124 'output-max' --output-max 1M ./programs flood
check memory_has_its_end prints 'ENOMEM after some MiB' --memory 16M ./programs memory
check a_chain_of_forks_has_its_end prints 'fork: EAGAIN' --timeout 60 ./programs fork-chain
check forks_do_not_renew_the_cpu_time ends 124 'CPU time' --cpu-time 300ms --timeout 60 ./programs fork-worker
check children_that_compute_meet_the_programs_limit ends 124 'CPU time' --cpu-time 300ms --timeout 60 ./programs fork-spin
check a_child_that_floods_ends_a_parent_that_sleeps ends 124 'output-max' --output-max 64K --timeout 60 ./programs fork-flood
check memory_is_one_for_all_processes prints '^3 and 3 children, then ENOMEM' --memory 24M --timeout 60 ./programs fork-memory
shares_a_pipe() { exec_ --timeout 60 ./programs share-pipe > out && grep -q shared out; }
check readers_of_one_pipe_end_with_the_program shares_a_pipe
mkdir -p short
broken_writes() { (ulimit -f 100; exec_ --write "$work/short=/d" ./programs broken-writes > out) && grep -q 'pipe: EPIPE' out && grep -q 'size: EFBIG' out; }
check writes_that_send_signals_are_errors broken_writes
check a_long_copy_is_cut prints '16777216 copied, from at 16777216' --write "$work/short=/d" --timeout 20 ./programs copy-sparse
rm -rf short
check a_waiting_shell_meets_its_time_limit ends 124 'the time limit' --timeout 300ms "$BASH_STATIC" -c 'while :; do :; done | cat'
check a_missing_program_is_127 ends 127 'none: No such file' ./none
check a_directory_is_126 ends 126 'tree: Is a directory' ./tree
check no_elf_is_126 ends 126 'input: is no ELF program' ./input
check a_dynamic_program_is_126_with_the_way_out ends 126 'link it with -static' "$VIREO"
printf '\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xf3\0\x01\0\0\0%40s' '' > riscv
check another_architecture_is_126 ends 126 'another architecture' ./riscv
ln -s sub linked
check a_directory_that_is_not_there_is_125 ends 125 'directory .*/nowhere: No such file' --read "$work/nowhere" ./programs
check a_directory_that_is_a_link_is_125 ends 125 'symbolic link to sub' --read "$work/linked" ./programs
check the_same_directory_twice_is_125 ends 125 'already shown' --read "$work/tree=/x" --read "$work/data=/x" ./programs
check a_bad_size_is_125 ends 125 'memory "12q"' --memory 12q ./programs
check an_unknown_option_is_125 ends 125 'unknown option --rwad' --rwad x ./programs
check a_command_without_a_program_is_125 ends 125 'no program named' --memory 16M

an_input_that_many_read() {
    local got=0
    { for ((i = 0; i < 1500; i++)); do printf xxx; done; sleep 20; } | timeout -s KILL 15 "$VIREO" exec --timeout 3 ./programs drain > out 2> err || got=$?
    [ $got = 124 ] || { echo "status $got"; cat err; return 1; }
}
check a_stream_that_many_processes_read_holds_none_beyond_the_deadline an_input_that_many_read

# ---- what was not given
check no_file_is_there prints 'ENOENT' ./programs open /etc/passwd
check a_link_out_leads_nowhere prints 'EXDEV' --read "$work/tree=/t" ./programs open /t/out
check a_link_up_leads_nowhere prints 'EXDEV' --read "$work/tree=/t" ./programs open /t/up
check dots_lead_nowhere prints 'ENOENT' --read "$work/tree=/t" ./programs open /t/../secret
check a_link_inside_is_followed prints 'done' --read "$work/tree=/t" ./programs open /t/link
check what_is_read_is_not_written prints 'EROFS' --read "$work/tree=/t" ./programs create /t/new
check what_is_written_is_written prints 'done' --write "$work/data=/d" ./programs create /d/new
check nothing_else_is_written prints 'EROFS' ./programs create /new
check no_socket_is_had prints 'socket: EPERM' ./programs socket
check no_program_is_executed prints 'execve: EPERM' ./programs execve
check an_unknown_call_is_not_there prints 'call 499: ENOSYS' ./programs unknown
check memory_is_not_writable_and_executable prints 'wx: EPERM' ./programs wx
check unless_that_is_asked_for prints 'wx: done' --allow-wx ./programs wx
check the_environment_is_empty prints 'nothing' ./programs env
check a_variable_is_given prints 'B=C' --env A=B=C ./programs env
check standard_input_can_be_none prints '^0 ' --stdin none ./programs stdin
traced() { exec_ --trace ./programs socket > /dev/null 2> err; grep -q '^socket(2, 1, 0) = -1 EPERM (Operation not permitted)$' err && grep -q '^exit_group(0) = ?$' err; }
check calls_are_traced_as_strace_has_them traced
told() {
    exec_ --json --timeout 5 ./programs socket > out && tail -n 1 out | grep -q '"reason": "exited", "status": 0' && tail -n 1 out | grep -q '{"name": "socket", "made": 1, "refused": 1'
}
check the_end_is_told_as_json told
stats() { exec_ --stats - ./programs > /dev/null 2> err && grep -q 'answering calls' err && grep -q '^exit_group  *1 ' err; }
check where_the_time_went_is_told stats
a_signal_ends_it() {
    local pid got=0
    "$VIREO" exec ./programs sleep & pid=$!
    sleep 0.5
    kill -TERM $pid
    wait $pid || got=$?
    [ $got = 143 ]
}
check a_signal_ends_it_with_its_status a_signal_ends_it

# ---- the monitor takes rights from itself
is_confined() {
    local got=0 pid i
    "$VIREO" exec --json=report --timeout 60 --require core,no-new-privs,not-dumpable -- ./programs spin > out 2> err < /dev/null &
    pid=$!
    for ((i = 0; i < 300; i++)); do
        grep -q '^NoNewPrivs:.1$' "/proc/$pid/status" && [ "$(stat -c %U "/proc/$pid/mem")" = root ] && break
        sleep 0.1
    done
    grep -q '^Max core file size  *0  *0 ' "/proc/$pid/limits" && [ "$(stat -c %U "/proc/$pid/mem")" = root ] || got=1
    kill -TERM $pid
    wait $pid
    [ $got = 0 ] && grep -q '"confined": \["core", "no-new-privs"' report || { cat report err; return 1; }
}
check rights_are_taken_from_the_monitor is_confined
check a_layer_that_is_none_is_named ends 125 'there is no layer "landlok"' --require landlok -- "$BUSYBOX" true
is_not_confined() { exec_ --json --confine off -- "$BUSYBOX" true > out 2> err && grep -q '"confined": \[\]' out; }
check none_is_taken_where_that_is_asked_for is_not_confined

# ---- attacks: the monitor lives, and what it was not given is as it was
attack() {
    local i got before
    mkdir -p prey && cp input prey/file
    before=$(cd "$work" && find . -path ./prey -prune -o -type f -print0 | sort -z | xargs -0 sha256sum | grep -v -e ' ./err$' -e ' ./out$' | sha256sum)
    for ((i = 1; i <= SEEDS; i++)); do
        got=0
        exec_ --write "$work/prey=/tmp" --read "$work/tree=/t" --timeout 500ms --memory 16M --output-max 1M "$@" $i 3000 > out 2> err < /dev/null || got=$?
        case $got in 0 | 1 | 2 | 124 | 129 | 13? | 14? | 15? | 16? | 17? | 18? | 19?) ;; *) echo "seed $i: status $got"; cat err; return 1 ;; esac
        ! grep -q -i -e sanitizer -e 'that can.t be' -e "own kernel met" err || { echo "seed $i:"; cat err; return 1; }
    done
    rm -rf prey
    [ "$before" = "$(cd "$work" && find . -type f -print0 | sort -z | xargs -0 sha256sum | grep -v -e ' ./err$' -e ' ./out$' | sha256sum)" ]
}
check random_system_calls_get_nowhere attack ./every_call
check random_code_gets_nowhere attack ./random_code
tap_done
