#!/bin/bash
# `vireo metrics`: the figures of all VMs as one page, once and served, with VMs on this machine's /dev/kvm; and a real Prometheus that reads
# it by the recipe of docs/prometheus.md, with the queries of docs/grafana.json.
# time limit: 300
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/named_vms.sh
. tests/boot/named_vms.sh
RUN_LIMIT_S=200

make_guest "$TREE/tests/bench/hammer_x86.S" -o hammer || exit 1
# A storm of exits after half a minute, when the scrapes of the other tests have told what is usual.
make_guest "$TREE/tests/bench/pulse_x86.S" -o storm -DSTORM_AT=3000 -DSTORM_TICKS=12000 || exit 1

declare -A pid=()
kill_all() { [ ${#pid[@]} = 0 ] || kill -CONT "${pid[@]}" 2> /dev/null; [ ${#pid[@]} = 0 ] || kill "${pid[@]}" 2> /dev/null; pid=(); wait; }
errs() { grep -qF -- "$1" err || { echo "no \"$1\" in"; cat err; return 1; }; }
# until_true COMMAND...: for a minute.
until_true() {
    local i
    for ((i = 0; i < 600; i++)); do "$@" > /dev/null 2>&1 && return 0; sleep 0.1; done
    echo "never came true: $*"
    return 1
}
start() {
    "$VIREO" run --kernel "${3-hammer}" --memory 16M --console off --timeout $RUN_LIMIT_S --name "$1" --cpus "$2" 2> "err-$1" < /dev/null &
    pid[$1]=$!
    until_true "$VIREO" stat "$1"
}
end() { kill "${pid[$1]}"; wait "${pid[$1]}"; unset "pid[$1]"; }
# get OPTION...: the page of the server.
get() { curl -sSf --max-time 20 "$url" -o page "$@"; }
up() { grep -q "^vireo_up{vm=\"$1\"} $2\$" page || { echo "vireo_up of $1 is not $2"; grep vireo_up page; return 1; }; }
is_clean() { promtool check metrics < page > lint 2>&1 && [ ! -s lint ] || { cat lint; return 1; }; }

none_is_no_page_and_a_sentence() { ends 0 metrics && [ ! -s out ] && errs 'start one with vireo run --name NAME'; }
once_has_every_vm() {
    ends 0 metrics && cp out page && is_clean && up web 1 && up db 1 && grep -q '^vireo_vcpu_run_delay_seconds_total{vm="web",vcpu="1"} [0-9]' page &&
        grep -q '^vireo_exits_total{vm="db",vcpu="0",class="port out"} [1-9]' page || return 1
    [ -z "$(grep '^# TYPE' page | sort | uniq -d)" ] || { echo "a family stands twice"; return 1; }
}
# Scrapes begin when the server does; the storm comes 30 s after its VM.
a_storm_of_exits_becomes_an_alarm() {
    local of='{vm="storm",figure="exit_rate",of="port out"}'
    storm_is_told() { get && grep -qxF "vireo_alarm$of 1" page; }
    until_true storm_is_told && is_clean || { grep -F 'vm="storm",figure="exit_rate"' page; return 1; }
    grep -qxF 'vireo_watched{vm="storm"} 1' page && grep -qxF 'vireo_alarm{vm="web",figure="exit_rate",of="port out"} 0' page &&
        grep -F "vireo_alarms_total$of" page | grep -q ' [1-9][0-9]*$' && awk -v v="vireo_alarm_value$of" -v u="vireo_alarm_usual$of" '
            index($0, v) == 1 { value = $NF } index($0, u) == 1 { usual = $NF } END { exit !(usual > 0 && value > 3 * usual) }' page ||
        { grep -E 'vireo_(alarm|watched)' page; return 1; }
    ends 0 metrics && ! grep -E 'vireo_(alarm|watched)' out     # once there is no history
}
it_is_served() { get -D head && is_clean && up web 1 && up db 1 && grep -qi '^content-type: text/plain; version=0.0.4' head; }
nothing_else_is_served() {
    local code
    for code in "405 -X POST $url" "404 ${url%metrics}stats" "404 ${url%metrics}" "405 -X DELETE $url" "413 -X GET -d xx $url"; do
        # shellcheck disable=SC2086  # words
        [ "$(curl -sS --max-time 20 -o said -w '%{http_code}' ${code#* })" = "${code%% *}" ] || { echo "$code"; cat said; return 1; }
    done
    get
}
# Forty that ask for nothing, or for half a page, and one whose head has no end.
hostile_clients_hold_up_nobody() {
    # shellcheck disable=SC2016  # Perl's
    perl -MIO::Socket::INET -e '$SIG{PIPE} = "IGNORE"; ($at) = $ARGV[0] =~ m{//([^/]+)};
        for (1 .. 40) { my $s = IO::Socket::INET->new($at) or next; print $s ("", "GET /me", "\0" x 5000, "GET /metrics HTTP/1.1\r\nHost: x\r\n" . "A: b\r\n" x 9000)[$_ % 4]; $s->flush; push @s, $s }
        open my $f, ">", "held"; close $f; sleep 60' "$url" &
    pid[peers]=$!
    local rc=0
    until_true [ -e held ] && get && up web 1 || rc=1
    end peers
    return $rc
}
a_vm_that_hangs_is_down_and_the_others_are_not() {
    local rc=0 i
    kill -STOP "${pid[db]}"
    get && is_clean && up web 1 && up db 0 && ! grep -q '^vireo_age_seconds{vm="db"' page || rc=1
    for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do curl -sS --max-time 20 -o /dev/null "$url" & done  # its backlog is full
    get && up db 0 || rc=1
    kill -CONT "${pid[db]}"
    # shellcheck disable=SC2046  # numbers
    wait $(jobs -rp | grep -vxFf <(printf "%s\n" "${pid[@]}"))
    db_is_up() { get && up db 1; }
    until_true db_is_up || rc=1
    return $rc
}
vms_come_and_go() {
    start later 1 && get && up later 1 && end later && get && ! grep -q later page
}
what_lies_in_our_directory_and_lies_is_down() {
    # shellcheck disable=SC2016  # Perl's
    perl -MIO::Socket::UNIX -e '$l = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 5) or die; while ($s = $l->accept) { sysread $s, $x, 100;
        print $s "HTTP/1.1 200 OK\r\n\r\n# HELP vireo_age_seconds A.\n# TYPE vireo_age_seconds gauge\nvireo_age_seconds{vm=\"web\"} 7\n"; close $s }' "$XDG_RUNTIME_DIR/vireo/liar.sock" &
    pid[liar]=$!
    local rc=0
    until_true [ -S "$XDG_RUNTIME_DIR/vireo/liar.sock" ]
    get && is_clean && up liar 0 && up web 1 && [ "$(grep -c '^vireo_age_seconds{vm="web"}' page)" = 1 ] || rc=1
    end liar
    rm -f "$XDG_RUNTIME_DIR/vireo/liar.sock"
    return $rc
}
a_unix_socket_is_its_users_alone_and_is_removed() {
    "$VIREO" metrics --listen "unix:$work/m.sock" 2> err-unix &
    pid[unix]=$!
    until_true curl -sSf --max-time 20 --unix-socket m.sock http://vm/metrics -o page && up web 1 && [ "$(stat -c %a m.sock)" = 600 ] || return 1
    ends 125 metrics --listen "unix:$work/m.sock" && errs 'somebody listens there already' || return 1
    kill -9 "${pid[unix]}"; wait "${pid[unix]}"; unset 'pid[unix]'
    "$VIREO" metrics --listen "unix:$work/m.sock" 2> err-unix &
    pid[unix]=$!
    until_true curl -sSf --max-time 20 --unix-socket m.sock http://vm/metrics -o page && end unix && [ ! -e m.sock ] || return 1
    # Another's file in its place stays.
    "$VIREO" metrics --listen "unix:$work/m.sock" 2> err-unix &
    pid[unix]=$!
    until_true curl -sSf --max-time 20 --unix-socket m.sock http://vm/metrics -o page && mv m.sock mine && : > m.sock && end unix && [ -f m.sock ] || return 1
    : > file
    ends 125 metrics --listen "unix:$work/file" && errs 'a file is there' && [ -f file ]
}
bad_addresses_are_a_sentence() {
    ends 125 metrics --listen 0.0.0.0:9 && errs 'a proxy with a password' && ends 125 metrics --listen 127.0.0.1:65536 && errs 'a port is a number' &&
        ends 125 metrics --listen here && errs 'write 127.0.0.1:PORT' && ends 125 metrics --listen unix: && errs 'the path is missing' &&
        ends 125 metrics --listen "${url#http://}" && ends 125 metrics --listen "$(echo "$url" | cut -d / -f 3)" && errs 'somebody listens there already' &&
        XDG_RUNTIME_DIR='' ends 125 metrics web && errs 'web'
}
# The recipe's own lines, with this test's address, then each query of the dashboard: it must parse, and give what runs here.
prometheus_scrapes_by_the_recipe() {
    sed -n '/^    scrape_configs:/,/^$/s/^    //p' "$TREE/docs/prometheus.md" | sed "s|127.0.0.1:9469|$(echo "$url" | cut -d / -f 3)|; s|15s|1s|" > prometheus.yml
    promtool check config prometheus.yml > lint 2>&1 || { cat lint prometheus.yml; return 1; }
    local port=$((20000 + RANDOM % 20000))
    prometheus --config.file=prometheus.yml --storage.tsdb.path=data --web.listen-address=127.0.0.1:$port > prometheus.log 2>&1 &
    pid[prometheus]=$!
    api() { curl -sSf --max-time 20 -G "http://127.0.0.1:$port/api/v1/query" --data-urlencode "query=$1" -o answer; }
    web_is_seen() { api 'rate(vireo_exits_total{vm="web",class="port out"}[10s]) > 0' && grep -q '"vm":"web"' answer; }
    until_true web_is_seen || { tail -5 prometheus.log; cat answer; return 1; }
    # shellcheck disable=SC2016  # Perl's, and Grafana's variables
    perl -MJSON::PP -0777 -ne 'for $p (@{decode_json($_)->{panels}}) { for $t (@{$p->{targets}}) { $q = $t->{expr}; $q =~ s/\$vm\b/.+/g; $q =~ s/\$__rate_interval/10s/g; print "$q\n" } }' \
        "$TREE/docs/grafana.json" > queries
    [ "$(wc -l < queries)" -ge 10 ] || { echo "few queries"; return 1; }
    local query
    while read -r query; do
        api "$query" && grep -q '"status":"success"' answer || { echo "refused: $query"; cat answer; return 1; }
        case $query in *steal* | *throttled* | *device*) continue ;; esac     # these guests have none of it, or this host
        grep -q '"value"' answer || { echo "nothing: $query"; return 1; }
    done < queries
}

check "without a VM there is no page, and a sentence" none_is_no_page_and_a_sentence
start web 2 > started 2>&1 && start db 1 >> started 2>&1 || sed "s/^/# /" started
check "once, every VM is in one clean page" once_has_every_vm
"$VIREO" metrics --listen 127.0.0.1:0 2> where &
pid[server]=$!
until_true grep -q metrics where
url=$(grep -o 'http://[^ ]*' where)
start storm 1 storm || exit 1
while :; do curl -sS --max-time 20 -o scraped "$url"; sleep 0.2; done 2> /dev/null &
pid[scraper]=$!
check "it is served, and promtool finds nothing wrong" it_is_served
check "nothing else is served" nothing_else_is_served
check "hostile clients hold up nobody" hostile_clients_hold_up_nobody
check "a VM that hangs is down, and the others are not" a_vm_that_hangs_is_down_and_the_others_are_not
check "VMs come and go" vms_come_and_go
check "what lies in the directory and lies is down" what_lies_in_our_directory_and_lies_is_down
check "a Unix socket is its user's alone, and is removed" a_unix_socket_is_its_users_alone_and_is_removed
check "bad addresses are a sentence" bad_addresses_are_a_sentence
check "Prometheus scrapes by the recipe, and the dashboard's queries give figures" prometheus_scrapes_by_the_recipe
check "a storm of exits becomes an alarm with its evidence" a_storm_of_exits_becomes_an_alarm
# While it waits for a VM that hangs.
kill -STOP "${pid[db]}"
curl -sS --max-time 20 -o /dev/null "$url" 2> /dev/null &
pid[curl]=$!
sleep 0.5
kill "${pid[server]}"
wait "${pid[server]}"
status=$?
unset 'pid[server]'
check "a signal ends the server with status 0" [ $status = 0 ]
tap_done
