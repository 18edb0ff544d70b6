#!/bin/bash
# `vireo stat`, `vireo top` and the control socket, with VMs on this machine's /dev/kvm whose vCPUs do nothing but exit.
# time limit: 300
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
# shellcheck source=tests/boot/program.sh
. tests/boot/program.sh
VIREO=$PWD/build/vireo
TREE=$PWD
RUN_LIMIT_S=120         # the VM that is looked at is needed for 15 s, beside other work for longer
work=$(mktemp -d)
mkdir -m 700 "$work/run"
export XDG_RUNTIME_DIR=$work/run
SOCKET=$XDG_RUNTIME_DIR/vireo/web.sock
trap 'kill_all; rm -rf "$work"' EXIT
cd "$work" || exit 1

if [ ! -w /dev/kvm ] || [ "$(uname -m)" != x86_64 ]; then
    echo "1..0 # SKIP no /dev/kvm, or no x86-64, to run these guests on"
    exit 0
fi
gcc -nostdlib -static -no-pie -Wl,--build-id=none,-z,noseparate-code,-Ttext=0x101000 "$TREE/tests/bench/hammer_x86.S" -o hammer || exit 1

vms=()
kill_all() { [ ${#vms[@]} = 0 ] || kill "${vms[@]}" 2> /dev/null; vms=(); wait; }
# start NAME OPTION...: a VM that runs until it is ended; returns when it answers.
start() {
    local name=$1 i
    shift
    timeout $RUN_LIMIT_S "$VIREO" run --kernel hammer --memory 16M --console off --name "$name" "$@" 2> "err-$name" < /dev/null &
    vms+=($!)
    for ((i = 0; i < 600; i++)); do "$VIREO" stat "$name" > /dev/null 2>&1 && return 0; sleep 0.05; done
    echo "$name does not answer"
    cat "err-$name"
    return 1
}
stop() { kill_all; }
# with_vm OPTIONS COMMAND...: a VM called web runs while the command does.
with_vm() {
    local options=$1 rc=0
    shift
    # shellcheck disable=SC2086  # options
    start web $options || return 1
    "$@" || rc=1
    stop
    return $rc
}
has() { grep -q -- "$1" out || { echo "no \"$1\" in"; cat out; return 1; }; }
errs() { grep -qF -- "$1" err || { echo "no \"$1\" in"; cat err; return 1; }; }
# perl_of PROGRAM < OBJECT: with the object in $o.
perl_of() { perl -MJSON::PP -0777 -e '$o = decode_json(<STDIN>); print eval $ARGV[0]; die $@ if $@' "$1"; }

text_has_every_vcpu() {
    ends 0 stat web && has '^vireo: where the time went$' && has '^web, VM [0-9a-f-]\{36\}, process' && has '^vCPU 1: [1-9]' &&
        has '^    nothing at 0x80  *[1-9]' && has '^  kernel: .*exits [1-9]' && has '^  [0-9]* web:vcpu1$' && has '^  weighted sum  *[0-9]'
}
json_agrees_with_itself() {
    ends 0 stat web --json || return 1
    # shellcheck disable=SC2016  # Perl's
    [ "$(perl_of '($a) = grep { $_->{kind} eq "class" && $_->{vcpu} eq "all" && $_->{name} eq "port out" } @{$o->{rows}};
        $s += $_->{count} for grep { $_->{kind} eq "class" && $_->{vcpu} ne "all" && $_->{name} eq "port out" } @{$o->{rows}};
        abs($s - $a->{count}) < 0.05 * $s && $s > 100 ? "yes" : "$s $a->{count}"' < out)" = yes ] || { cat out; return 1; }
    # shellcheck disable=SC2016
    [ "$(perl_of 'join " ", (map { "$_->{name}" } @{$o->{threads}}), scalar @{$o->{figures}}, scalar @{$o->{vcpus}}' < out)" = "web:vcpu0 web:vcpu1 6 2" ] || { cat out; return 1; }
    # shellcheck disable=SC2016
    [ "$(perl_of 'kill(0, $o->{pid}) && -d "/proc/$o->{pid}/task/$o->{threads}[0]{tid}"' < out)" = 1 ]
}
# The kernel goes on counting meanwhile, so each figure lies between those of /proc before and after.
vcpus_are_as_proc_has_them() {
    ends 0 stat web --json || return 1
    # shellcheck disable=SC2016  # Perl's
    perl -MJSON::PP -0777 -e '$o = decode_json(<STDIN>); $task = "/proc/$o->{pid}/task";
        sub told { my %t; open my $f, "<", "$task/$_[0]/schedstat" or return (); @t{qw(cpu_ns run_delay_ns)} = split " ", scalar <$f>;
            open $f, "<", "$task/$_[0]/status"; $s = <$f>; $t{switches_voluntary} = $1 if $s =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
            $t{switches_involuntary} = $1 if $s =~ /^nonvoluntary_ctxt_switches:\s+(\d+)/m; %t }
        @before = map { +{told($_->{tid})} } @{$o->{vcpus}};
        $o = decode_json(scalar `$ARGV[0] stat web --json`);
        for $v (@{$o->{vcpus}}) {
            %b = %{shift @before}; %a = told($v->{tid}); $n++; die "proc: @{[%a]}\n" unless keys %a == 4;
            for (keys %a) { die "$_ of vCPU $v->{vcpu}: $b{$_} .. $v->{$_} .. $a{$_}\n" unless $b{$_} <= $v->{$_} && $v->{$_} <= $a{$_} + 1e8 * ($_ eq "cpu_ns") }
            die "cpu $v->{cpu}\n" unless -d "/sys/devices/system/cpu/cpu$v->{cpu}";
            die "vCPU $v->{vcpu} used no CPU\n" unless $v->{cpu_ns} > 0 && $v->{handler_ns} > 0 && $v->{handler_ns} < $o->{age_ns};
        }
        die "$n vCPUs\n" unless $n == 2' "$VIREO" < out
}
weights_change_the_sum() {
    ends 0 stat web --json --weights vm_exit_count=0,vm_exit_latency=0,memory_overhead=0,io_overhead=0,context_switch_count=0,cache_miss_rate=0 &&
        [ "$(perl_of '$o->{weighted_sum}' < out)" = 0 ] && ends 125 stat web --weights io_overhed=1 && errs 'did you mean "io_overhead"?' &&
        ends 125 stat web --weights 'a b=1' && ends 125 stat --weights io_overhead=1 && errs 'of which VM?'
}
curl_and_prometheus_are_served() {
    local page
    for page in stats stats.txt metrics; do curl -sSf --max-time 5 --unix-socket "$SOCKET" "http://vm/$page" -o $page || return 1; done
    perl_of '$o->{schema}' < stats | grep -qx vireo-stats-1 && grep -q '^vCPU 1: ' stats.txt || return 1
    # Every line is a comment or NAME{LABELS} VALUE; every family is declared once, with its HELP, and its samples follow. promtool looks at
    # names, types and suffixes.
    perl -ne 'if (/^# HELP (vireo_\w+) .+$/) { $h = $1; next } if (/^# TYPE (vireo_\w+) (counter|gauge|histogram)$/) { die "twice: $1\n" if $seen{$1}++; die "no help: $1\n" if $1 ne $h; $f = $1; next }
        die "no sample: $_" unless /^(vireo_\w+)\{vm="web"(,\w+="[^"]*")*\} [-+0-9.e]+$/; $n = $1; die "stray: $_" unless $n =~ /^\Q$f\E(_bucket|_sum|_count)?$/; $lines++;
        die "series twice: $_" if /^(.*) / && $series{$1}++;
        END { die "few\n" if $lines < 100 }' metrics && promtool check metrics < metrics > lint 2>&1 && [ ! -s lint ] || { cat lint metrics; return 1; }
    curl -sS --max-time 5 --unix-socket "$SOCKET" http://vm/nothing -w '%{http_code}' | grep -q '404$'
}
# What has not happened yet is 0, so that a rate sees its first.
series_are_there_from_zero() {
    curl -sSf --max-time 5 --unix-socket "$SOCKET" http://vm/metrics -o metrics &&
        grep -q '^vireo_exits_total{vm="web",vcpu="1",class="mmio write"} 0$' metrics && grep -q '^vireo_exit_run_seconds_count{vm="web",class="mmio write"} 0$' metrics &&
        grep -q '^vireo_kvm_[a-z_]*{vm="web",vcpu="1"} 0$' metrics || { cat metrics; return 1; }
}
# policy THREAD-ID of $pid: as /proc tells it, 0 an ordinary one, 2 real time in turns.
policy() { sed 's/.*) //' "/proc/$pid/task/$1/stat" | cut -d ' ' -f 39; }
answers_as_real_time_beside_ordinary_vcpus() {
    local pid tids
    pid=$("$VIREO" stat web --json | perl_of '$o->{pid}')
    # shellcheck disable=SC2016  # Perl's
    tids=$("$VIREO" stat web --json | perl_of 'join " ", map { $_->{tid} } @{$o->{threads}}')
    [ "$(policy "$pid")" = "$(chrt -r 1 true 2> /dev/null && echo 2 || echo 0)" ] || { echo "the main thread: $(policy "$pid")"; return 1; }
    for tid in $tids; do [ "$(policy "$tid")" = 0 ] || { echo "thread $tid: $(policy "$tid")"; return 1; }; done
    # Whoever asks without pause gets no real time for it.
    # shellcheck disable=SC2016  # Perl's
    perl -MIO::Socket::UNIX -e 'while (my $s = IO::Socket::UNIX->new(Peer => $ARGV[0])) { print $s "GET /stats?steps=1 HTTP/1.0\r\n\r\n"; 1 while <$s> }' "$SOCKET" &
    local asker=$! i
    for ((i = 0; i < 400; i++)); do
        [ "$(policy "$pid")" != 0 ] || break
        sleep 0.05
    done
    kill $asker
    [ $i -lt 400 ] || { echo "real time all along"; return 1; }
}
only_its_user_may_connect() { [ "$(stat -c %a "$SOCKET")" = 600 ] && [ "$(stat -c %a "$XDG_RUNTIME_DIR/vireo")" = 700 ]; }
a_second_of_its_name_is_refused() {
    ends 125 run --kernel hammer --name web && errs 'a VM of this name runs already' && ends 0 stat web
}
# Sixty peers, each of which comes again when it is dropped: silent, with half a request, with a request whose answer nobody reads. If each
# had its two seconds in one of eight places, an asker would wait for fifteen seconds, and `vireo stat` gives up after five.
many_silent_and_slow_peers_starve_nobody() {
    # shellcheck disable=SC2016  # Perl's
    perl -MIO::Socket::UNIX -e '$SIG{PIPE} = "IGNORE"; for $i (1 .. 59) { last if !($pid = fork); push @kids, $pid }
        $SIG{TERM} = sub { kill 9, @kids; exit } if $pid;
        while (my $s = IO::Socket::UNIX->new(Peer => $ARGV[0])) {
            print $s ("", "GET /st", "GET /stats?steps=1 HTTP/1.0\r\n\r\n")[$i++ % 3]; $s->flush;
            if ($pid && open my $ready, ">", "peers") { close $ready }
            vec($r = "", fileno($s), 1) = 1; select($r, undef, undef, 60); select(undef, undef, undef, 0.05);
        }' "$SOCKET" &
    local peers=$! i rc=0 begin
    for ((i = 0; i < 600; i++)); do [ -e peers ] && break; sleep 0.05; done
    begin=$SECONDS
    for ((i = 0; i < 10; i++)); do ends 0 stat web || { rc=1; break; }; done
    [ $((SECONDS - begin)) -lt 30 ] || { echo "ten answers took $((SECONDS - begin)) s"; rc=1; }
    kill $peers
    wait $peers
    return $rc
}
# XDG_RUNTIME_DIR that others may write to: a VM without a socket, and nothing asked that lies there.
places_of_others_are_refused() {
    mkdir -p open && chmod 777 open || return 1
    XDG_RUNTIME_DIR=$work/open ends 0 run --memory 16M --console off --name other && errs 'may put another in its place' || return 1
    mkdir -m 700 open/vireo && XDG_RUNTIME_DIR=$work/open ends 125 stat other && errs 'chmod 700 the directory'
}
top_in_a_pipe_writes_blocks() {
    ends 0 top web --interval 0.3 --count 3 && [ "$(grep -c '^web, process' out)" = 3 ] && [ "$(grep -c '^vCPU 1 ' out)" = 3 ] &&
        [ "$(grep -c '^$' out)" = 3 ] && has '^port out  *[1-9][0-9]*  *[0-9.]* %' || return 1
    ! grep -q $'\033' out
}
# in_terminal KEYS COLUMNS: in a terminal of that width and five lines; ./screen is what came, ./after its settings.
in_terminal() {
    (sleep 3; printf '%b' "$1"; sleep 0.5) |
        timeout 60 script -qec "stty rows 5 cols $2; stty -a > before; $VIREO top web --interval 0.2; echo \$? > status; stty -a > after" screen > /dev/null
    cmp before after && [ "$(cat status)" = 0 ]
}
top_in_a_terminal_fits_it_and_gives_it_back() {
    in_terminal q 40 && in_terminal '\003' 40 || { cat status; return 1; }
    grep -q $'\033\\[?1049h' screen && grep -q $'\033\\[?1049l' screen || { echo "no other screen"; return 1; }
    # Between two homes of the cursor: at most four lines, none wider than 40.
    perl -0777 -ne '@f = split /\e\[H/; shift @f; for (@f) { s/\e\[J.*//s; s/\e\[K//g; @l = split /\r\r?\n/; die scalar(@l) . " lines" if @l > 4; for (@l) { die "wide: $_" if length > 40 } } die "few" if @f < 4' screen
}
bad_commands_of_top() {
    ends 125 top && errs 'which VM?' && ends 125 top web --interval 0 && errs '0.1 to 3600' && ends 125 top web --count 1.5 && errs 'whole number' &&
        ends 125 top web db && errs '"db" beside "web": one VM at a time' && ends 125 stat web web && errs 'one VM at a time'
}

list_names_those_that_run() {
    start one && start two && ends 0 stat && [ "$(cut -f 1 out | tr '\n' ' ')" = "one two " ] && ends 0 stat --json && [ "$(perl_of 'scalar @$o' < out)" = 2 ] &&
        ends 125 stat oen && errs 'no VM called "oen" runs' && errs 'did you mean "one"?' && ends 125 top xyzzy && errs 'lists those that run' &&
        ends 125 stat ../one && stop && ends 0 stat && [ ! -s out ] && errs 'start one' && ends 125 stat one && errs 'vireo run --name one'
}
top_says_that_the_vm_ended() {
    start web || return 1
    (sleep 3; kill "${vms[0]}") &
    ends 0 top web --interval 0.2 && errs 'web has ended' && has '^web, process'
    local rc=$?
    stop
    return $rc
}
a_killed_vm_leaves_a_socket_that_the_next_replaces() {
    start web || return 1
    local pid
    pid=$("$VIREO" stat web --json | perl_of '$o->{pid}')
    kill -9 "$pid"
    stop
    [ -S "$SOCKET" ] || { echo "no socket is left"; return 1; }
    ends 125 stat web && ends 0 stat && [ ! -s out ] && with_vm "" ends 0 stat web || return 1
    [ ! -e "$SOCKET" ] || { echo "the socket is still there"; return 1; }
}
a_stopped_process_is_said() {
    start web || return 1
    local pid rc
    pid=$("$VIREO" stat web --json | perl_of '$o->{pid}')
    kill -STOP "$pid"
    ends 125 stat web && errs 'has not answered'
    rc=$?
    kill -CONT "$pid"
    stop
    return $rc
}
without_record_there_is_a_sentence() {
    timeout $RUN_LIMIT_S "$VIREO" run --kernel hammer --memory 16M --console off --name off --record off 2> err-off < /dev/null &
    vms=($!)
    local rc i
    for ((i = 0; i < 600; i++)); do [ -S "$XDG_RUNTIME_DIR/vireo/off.sock" ] && break; sleep 0.05; done
    ends 125 stat off && errs 'record is off'
    rc=$?
    stop
    return $rc
}
no_name_no_socket() {
    local got=0
    timeout $RUN_LIMIT_S "$VIREO" run --kernel hammer --memory 16M --console off --timeout 1 2> err < /dev/null &
    sleep 0.5
    [ -z "$(ls "$XDG_RUNTIME_DIR/vireo" 2> /dev/null)" ] || { echo "there is something"; return 1; }
    wait $! || got=$?
    [ $got = 124 ] || { echo "exit status $got"; cat err; return 1; } # so it did run
}

check "a VM without a name has no socket" no_name_no_socket
start web --cpus 2 > start 2>&1 || sed 's/^/# /' start
check "the text has every vCPU, the kernel's counts, the threads and the figures" text_has_every_vcpu
check "the object agrees with itself and with /proc" json_agrees_with_itself
check "what the scheduler knows of each vCPU is as /proc has it" vcpus_are_as_proc_has_them
check "weights change the sum, and wrong ones are a sentence" weights_change_the_sum
check "curl reads every page, and the metrics are what Prometheus reads" curl_and_prometheus_are_served
check "metrics that have not happened yet are 0" series_are_there_from_zero
check "pages are made in real time, within a budget, and vCPUs are ordinary" answers_as_real_time_beside_ordinary_vcpus
check "only its user may connect" only_its_user_may_connect
check "a second VM of its name is refused" a_second_of_its_name_is_refused
check "many silent and slow peers starve nobody" many_silent_and_slow_peers_starve_nobody
check "a directory that others may swap is refused, and asked nothing" places_of_others_are_refused
check "top writes blocks into a pipe" top_in_a_pipe_writes_blocks
check "top fits its terminal and gives it back" top_in_a_terminal_fits_it_and_gives_it_back
check "commands that make no sense are refused" bad_commands_of_top
stop
check "stat without a name lists the VMs that run" list_names_those_that_run
check "a VM that ends under top is said, with status 0" top_says_that_the_vm_ended
check "a killed VM's socket is replaced by the next" a_killed_vm_leaves_a_socket_that_the_next_replaces
check "a stopped process is said after some seconds" a_stopped_process_is_said
check "without a recorder there is a sentence" without_record_there_is_a_sentence
tap_done
