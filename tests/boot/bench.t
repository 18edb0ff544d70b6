#!/bin/bash
# vireo bench: what it refuses, what it makes of result files, how it watches its workers, and a short measurement on this machine's
# /dev/kvm. Workers that hang, die or talk nonsense are played by a script that stands in for another vireo (--against).
# time limit: 300
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
# shellcheck source=tests/boot/program.sh
. tests/boot/program.sh
VIREO=$PWD/build/vireo
GOLDEN=$PWD/tests/unit/golden
RUN_LIMIT_S=60          # the longest measurement here takes 5 s on an idle machine
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

says() { grep -qF -- "$2" "$1" || { echo "no \"$2\" in $1:"; cat "$1"; return 1; }; }

# refuses TEXT OPTION...: one sentence, perhaps a hint, and nothing on standard output.
refuses() {
    local text=$1
    shift
    ends 125 bench "$@" && says err "$text" && [ ! -s out ] && [ "$(wc -l < err)" -le 2 ]
}

# value FILE EXPRESSION: of the JSON in the file, as Perl: $j->{rows}[0]{status}
value() { perl -MJSON::PP -e 'local $/; open F, "<", shift; my $j = decode_json(<F>); print eval(shift) // "undef", "\n"' "$1" "$2"; }
is() { [ "$(value "$1" "$2")" = "$3" ] || { echo "$2 is $(value "$1" "$2"), not $3"; return 1; }; }

# ---- command line

kinds_are_listed() { ends 0 bench && says out exits && says out fairness; }
rows_are_listed() { ends 0 bench exits --list && says out nop && says out mmio_wr_user && ! grep -q never_exits out && [ ! -s err ]; }
options_are_explained() { ends 0 bench --help && says out --rows && says out --against; }
bad_words() {
    refuses 'unknown bench "exts"' exts && says err 'did you mean "exits"' && refuses 'unknown bench "zzzzzz"' zzzzzz && says err '`vireo bench` lists them' && refuses 'no kind of bench given' --format text &&
        refuses 'unknown option --row' exits --row nop && says err 'did you mean "--rows"' && refuses '"nop" is not an option' exits nop &&
        refuses 'processes 0: a number from 1 to 200' exits --processes 0 && refuses 'processes 1x:' exits --processes 1x &&
        refuses 'processes 201:' exits --processes 201 && refuses 'there is none without --against' exits --output-against x &&
        refuses 'one at a time' --compare a --show b
}
bad_measurements() {
    refuses 'mmio_wr_usr' exits --rows mmio_wr_usr && says err mmio_wr_user && refuses 'samples' exits --samples 0 &&
        refuses 'pin' exits --pin 9999 && refuses 'a result of kind exits has text, json, csv, hgrm, kut' exits --format xml &&
        refuses 'a result of kind fairness has text, json, csv' fairness --format kut
}
bad_outputs() {
    refuses 'output /nonexistent/x: No such file or directory' exits --output /nonexistent/x &&
        refuses 'output-against /nonexistent/y: No such file or directory' exits --against "$VIREO" --output-against /nonexistent/y &&
        refuses 'against /nonexistent: No such file or directory' exits --against /nonexistent &&
        refuses 'only durations can be compared' fairness --against "$VIREO"
}
refusal_leaves_output_alone() { echo old > kept && refuses 'format "xml"' exits --format xml --output kept && says kept old; }

# ---- result files

files_of_another_form() {
    echo '{"schema": "vireo-stats-1"}' > stats.json && echo '{' > broken.json && : > empty.json
    refuses 'stats.json: schema "vireo-stats-1"; this version reads "vireo-result-1"' --show stats.json &&
        refuses 'broken.json: line 2, column 0: not JSON' --show broken.json && refuses 'empty.json: line 1' --show empty.json &&
        refuses 'open missing.json: No such file' --show missing.json && refuses '/dev/zero: not a file' --show /dev/zero &&
        refuses 'compare stats.json: with what?' --compare stats.json
}
spares_the_result_it_reads() {
    cp "$GOLDEN/result_exits.json" mine.json
    refuses 'would be lost' --show mine.json --output ./mine.json && refuses 'would be lost' --compare "$GOLDEN/result_exits.json" mine.json --output mine.json &&
        cmp mine.json "$GOLDEN/result_exits.json"
}
shown_in_every_format() {
    local f
    for f in csv hgrm kut; do
        ends 0 bench --show "$GOLDEN/result_exits.json" --format $f && cmp out "$GOLDEN/result_exits.$f" || return 1
    done
    ends 0 bench --show "$GOLDEN/result_exits.json" && cmp out "$GOLDEN/result_exits.txt"
}
the_same_is_no_difference() {
    ends 0 bench --compare "$GOLDEN/result_exits.json" "$GOLDEN/result_exits.json" && says out 'no difference shown' && ! grep -qE '(slower|faster)$' out
}
# A comparison of the golden result with itself, and with one whose mmio_rd_user takes a tenth longer in each process.
fails_on_a_regression() {
    local golden=$GOLDEN/result_exits.json
    perl -pe 's/"p50": 900, "undisturbed": 900/"p50": 990, "undisturbed": 990/g' "$golden" > slower.json
    ends 1 bench --compare "$golden" slower.json --fail-on regression && says out 'Regressions of more than 5 %: mmio_rd_user.' &&
        says err 'fail-on regression: 1 row is slower' &&
        ends 0 bench --compare "$golden" slower.json --fail-on regression --margin 20% && says out 'Regressions of more than 20 %: none.' &&
        ends 0 bench --compare slower.json "$golden" --fail-on regression && ends 0 bench --compare "$golden" slower.json
}
fails_on_a_verdict() {
    local form='{"schema":"vireo-result-1","kind":"fairness","environments":[{"kind":"fairness","arch":"x86_64","host":{}}],"experiments":[{"id":"E1",
        "status":"ok","properties":[{"id":"F1","verdict":"%s"}]}]}' v
    # shellcheck disable=SC2059  # the form
    for v in pass inconclusive fail; do printf "$form" $v > $v.json; done
    ends 0 bench --show pass.json --fail-on inconclusive && ends 0 bench --show inconclusive.json --fail-on fail &&
        ends 1 bench --show inconclusive.json --fail-on inconclusive && says err 'fail-on inconclusive: 1 finding' &&
        ends 1 bench --show fail.json --fail-on fail && ends 1 bench --show fail.json --fail-on inconclusive --format json && ends 0 bench --show fail.json
}
bad_fail_on() {
    local golden=$GOLDEN/result_exits.json
    refuses 'fail-on worse: one of fail, inconclusive, regression' --show "$golden" --fail-on worse &&
        refuses 'fail-on regression: of a comparison only' --show "$golden" --fail-on regression &&
        refuses 'fail-on fail: of fairness only' --show "$golden" --fail-on fail && refuses 'fail-on fail: of fairness only' exits --fail-on fail &&
        refuses 'fail-on inconclusive: of fairness only' --compare "$golden" "$golden" --fail-on inconclusive &&
        refuses 'fail-on regression: of a comparison only' fairness --fail-on regression && refuses 'margin 5%: of a comparison only' exits --margin 5% &&
        refuses 'margin 5x: a percentage from 0 to 10000, as 5%' --compare "$golden" "$golden" --margin 5x &&
        refuses 'margin -5: a percentage' --compare "$golden" "$golden" --margin=-5 && refuses 'margin 1e9:' --compare "$golden" "$golden" --margin 1e9
}
what_must_not_be_compared() {
    sed 's/x86_64/aarch64/g' "$GOLDEN/result_exits.json" > arm.json
    sed 's/6\.1\.0/6.18.0/g; s/2026-01-31T12/2026-01-31T13/g' "$GOLDEN/result_exits.json" > later.json
    refuses "results of x86_64 and aarch64 can't be compared" --compare "$GOLDEN/result_exits.json" arm.json &&
        ends 0 bench --compare "$GOLDEN/result_exits.json" later.json && says out 'host.kernel is 6.1.0 in A, 6.18.0 in B' &&
        says out 'did not take turns'
}

# ---- on /dev/kvm

few=(--rows 'nop,mmio_wr_user' --samples 500)

measured_and_written() {
    ends 0 bench exits "${few[@]}" --processes 2 --format json --output few.json && [ ! -s out ] && [ ! -s err ] &&
        is few.json '$j->{schema}' vireo-result-1 && is few.json 'scalar @{$j->{environments}}' 2 &&
        is few.json 'join " ", map { "$_->{row} $_->{status} $_->{samples}" } @{$j->{rows}}' "nop ok 1000 mmio_wr_user ok 1000" &&
        is few.json 'join " ", map { $_->{exits}{verdict} =~ /agrees|explained/ ? "right" : $_->{exits}{because} } @{$j->{rows}}' "right right" &&
        is few.json '$j->{rows}[0]{headline}{p50} < $j->{rows}[1]{headline}{p50} ? 1 : 0' 1
}
no_vireo_is_told() { refuses 'B is a result without a process' exits --rows nop --samples 10 --processes 1 --against /bin/true && says err 'is that a vireo?'; }
text_goes_to_stdout() { ends 0 bench exits "${few[@]}" --processes 1 && says out 'vireo bench exits:' && says out mmio_wr_user && [ ! -s err ]; }
terminal_shows_progress() {
    timeout $RUN_LIMIT_S script -qec "$VIREO bench exits ${few[*]} --processes 1 --output text" /dev/null < /dev/null > seen
    says seen 'process 1 of 1, 2 of 2: mmio_wr_user' && says text mmio_wr_user
}
endless_guest_times_out() {
    ends 0 bench exits --rows never_exits,mmio_wr_user --samples 100 --timeout 500ms --processes 1 --format json &&
        is out 'join " ", sort map { "$_->{row} $_->{status}" } @{$j->{rows}}' "mmio_wr_user ok never_exits timeout"
}
one_timeout() {
    ends 0 bench exits --rows never_exits,nop --samples 100 --timeout 300ms --processes 3 --format json &&
        is out 'join " ", sort map { "$_->{row} " . scalar @{$_->{processes}} } @{$j->{rows}}' "never_exits 1 nop 3"
}
# With 20 ms in the handler, 100 samples and their warm-up would take 4 s.
quick_takes_few() {
    ends 0 bench exits --quick --rows nop,mmio_wr_user --processes 2 --timeout 20s --delay 20ms --format json &&
        is out 'join " ", sort map { "$_->{row} " . ($_->{samples} <= 200 ? "few" : "many") } @{$j->{rows}}' "mmio_wr_user few nop few" &&
        is out '(grep { $_->{row} eq "mmio_wr_user" } @{$j->{rows}})[0]{samples} < 100 ? "fewer" : "not"' fewer
}
# Not "no difference": one in twenty comparisons of the same says there is one. But none should be large.
itself_is_much_the_same() {
    ends 0 bench exits --rows mmio_wr_user --samples 1000 --processes 3 --against "$VIREO" --output a.json --output-against b.json &&
        says out mmio_wr_user && ! grep -q 'did not take turns' out && ends 0 bench --compare a.json b.json --format json &&
        is out '$j->{is_interleaved} && $j->{rows}[0]{ratio} > 0.1 && $j->{rows}[0]{ratio} < 10 ? 1 : 0' 1
}

# Another build, played by this one with a handler that takes 50 us more: 8 become 58, in each of ten processes. On a busy host 8 may be 25.
slower_build_is_found() {
    printf '#!/bin/sh\nexec "%s" "$@" --delay=50us\n' "$VIREO" > slower && chmod +x slower
    ends 0 bench exits --rows mmio_wr_user --samples 200 --against ./slower --output a.json --output-against b.json &&
        grep -qE '^mmio_wr_user .* slower$' out && ends 0 bench --compare a.json b.json --format json && is out '$j->{rows}[0]{verdict}' slower &&
        is out '$j->{different}[0]' options && is out '$j->{rows}[0]{low} > 1 && $j->{rows}[0]{p} < 0.01 ? 1 : 0' 1
}

# A stand-in for another vireo: what it is told to do in $FAKE, item by item in the order of --rows.
make_fake() {
    cat > fake <<'END'
#!/bin/bash
for word; do case $word in --rows=*) rows=${word#--rows=} ;; esac; done
[ "$1 $2 $3" = "bench exits --worker" ] || exit 99
echo '{"type":"environment","kind":"exits","arch":"x86_64","time":"2026-01-31T12:00:00Z","host":{},"counter":{"name":"TSC","hz":1e9}}'
limit=60000
[ "$FAKE" != hang ] || limit=100
for row in ${rows//,/ }; do
    echo "{\"type\":\"begin\",\"item\":\"$row\",\"timeout_ms\":$limit}"
    if [ "$row" = nop ]; then
        case $FAKE in
            hang) exec sleep 60 ;;
            die) kill -SEGV $$ ;;
            leave) exit 3 ;;
            nonsense) echo "hello, world" ;;
            large) head -c 40000000 /dev/zero | tr '\0' x ;;
            interrupt) kill -INT $PPID; exec sleep 60 ;;
        esac
    fi
    echo "{\"type\":\"row\",\"row\":\"$row\",\"status\":\"ok\",\"samples\":1,\"phases\":{\"rtt\":{\"count\":1,\"min\":700,\"max\":700,\"sum\":700,\"hist\":[[700,1]]}}}"
done
END
    chmod +x fake
}
with_fake() { # STATUS HOW OPTION...
    local status=$1
    export FAKE=$2
    shift 2
    ends "$status" bench exits "${few[@]}" --processes 1 --against ./fake --output-against b.json "$@"
}
rows_of_fake() { is b.json 'join ", ", map { "$_->{row} $_->{status}" } @{$j->{rows}}' "$1"; }
hung_worker_is_killed() {
    with_fake 0 hang && rows_of_fake "nop timeout, mmio_wr_user ok" && is b.json '$j->{rows}[0]{detail}' \
        "no result within 2.1 s: its process was killed" && is b.json 'scalar @{$j->{environments}}' 1 && ! pgrep -f 'sleep 60$' -P $$
}
dead_worker_is_said() {
    with_fake 0 die && rows_of_fake "nop failed, mmio_wr_user ok" && says b.json 'ended by signal 11 (Segmentation fault)' &&
        with_fake 0 leave && rows_of_fake "nop failed, mmio_wr_user ok" && says b.json 'its process ended with status 3'
}
nonsense_is_refused() {
    with_fake 125 nonsense && says err 'line 3 of a worker: line 1, column 5: not JSON' && with_fake 125 large && says err "a worker's line is too long"
}
interrupted_is_written() {
    with_fake 130 interrupt --output a.json && says err 'ended by signal 2 (Interrupt) in process 2 of 2' &&
        is a.json 'scalar @{$j->{rows}}' 2 && is b.json 'scalar @{$j->{rows}}' 0
}

check "the kinds are listed" kinds_are_listed
check "the rows of a kind are listed, but none that never ends" rows_are_listed
check "the options of each kind are in the help" options_are_explained
check "words that fit nothing are refused, the nearest named" bad_words
check "measurements that make no sense are refused" bad_measurements
check "output that can't be written is refused before anything is measured" bad_outputs
check "a refusal leaves the output as it was" refusal_leaves_output_alone
check "files that are no results are refused" files_of_another_form
check "a result is shown in every format" shown_in_every_format
check "what is made of a result does not take its place" spares_the_result_it_reads
check "a result compared with itself shows no difference" the_same_is_no_difference
check "--fail-on regression ends with 1 when a row is slower beyond the margin" fails_on_a_regression
check "--fail-on fail and inconclusive end with 1 when a verdict is so" fails_on_a_verdict
check "--fail-on and --margin that fit nothing are refused" bad_fail_on
check "other architectures are not compared, other environments are said" what_must_not_be_compared

kvm_tests=(
    "rows are measured in fresh processes, and written as JSON|measured_and_written"
    "a program that is no vireo is told as the reason|no_vireo_is_told"
    "text goes to standard output, and nothing else anywhere|text_goes_to_stdout"
    "a terminal sees how far it is|terminal_shows_progress"
    "a guest that never ends is a timeout, and the next row still runs|endless_guest_times_out"
    "a row that comes to nothing costs one time-out, not one of each process|one_timeout"
    "--quick takes few samples, and fewer of what takes long|quick_takes_few"
    "the same program against itself takes turns and is much the same|itself_is_much_the_same"
    "a slower build is found, and by how much|slower_build_is_found"
    "a worker that hangs is killed, and the next one goes on|hung_worker_is_killed"
    "a worker that dies is said, and the next one goes on|dead_worker_is_said"
    "a worker that talks nonsense ends it|nonsense_is_refused"
    "what was measured before a signal is written|interrupted_is_written"
)
make_fake
for row in "${kvm_tests[@]}"; do
    if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then check "${row%%|*}" "${row##*|}"; else skip "${row%%|*}" "no usable /dev/kvm on this machine"; fi
done
tap_done
