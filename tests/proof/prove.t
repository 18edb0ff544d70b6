#!/bin/bash
# time limit: 900
# The models of tests/proof, searched whole by Spin: what the code does holds, and every broken variant is found out. One that is not, or
# a search that was cut short, fails.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

# PROMISE: MODEL VERDICT [OPTIONS], and for a liveness property CLAIM=name (searched for unfair cycles, under weak fairness).
#   holds   the whole state space was searched and nothing was found
#   breaks  an error was found, as it must be
# The long ones come first: they run two at a time.
proofs() {
    cat << 'LIST'
no_notification_is_lost_with_event_idx: ring holds
a_buffer_offered_is_a_buffer_served: ring holds -DLIVE -DMODULUS=4 CLAIM=served
no_notification_is_lost_when_the_driver_acknowledges_late: ring holds -DLATE_ACK
no_notification_is_lost_with_flags: ring holds -DFLAGS
no_notification_is_lost_with_flags_and_a_late_acknowledge: ring holds -DFLAGS -DLATE_ACK
an_end_ends_every_vcpu: runner holds -DLIVE CLAIM=ends
a_pause_comes_or_the_machine_ends: runner holds -DLIVE CLAIM=pauses
what_may_run_runs: runner holds -DLIVE CLAIM=runs
no_kick_is_lost_and_nobody_runs_while_paused: runner holds
no_kick_is_lost_by_a_single_vcpu: runner holds -DVCPUS=1
a_stop_by_a_signal_handler_breaks_nothing: runner holds -DBY_HANDLER -DVCPUS=1
a_stop_by_a_signal_handler_ends_the_vcpu: runner holds -DBY_HANDLER -DVCPUS=1 -DLIVE CLAIM=ends
an_end_ends_vcpus_that_kvm_refuses_to_run: runner holds -DREFUSES -DLIVE CLAIM=ends
LIST
    variant runner exit_before_want signal_before_exit no_immediate_exit no_signal no_fence_after_want no_fence_before_signal \
        no_fence_in_vcpu reads_want_first pauses_half_done halt_tells_nobody waits_once last_reason_wins resume_forgets_the_end \
        start_forgets_the_end starts_unlocked kick_posts_nothing
    variant 'runner -DLIVE CLAIM=runs' never_clears resume_tells_nobody
    variant 'runner -DBY_HANDLER -DVCPUS=1 -DLIVE CLAIM=ends' answers_unheeding calls_without_exit control_unheeding
    variant 'runner -DREFUSES -DVCPUS=1 -DLIVE CLAIM=ends' tries_again_unheeding
    variant ring "${both_ways[@]}" raises_before_status
    variant 'ring -DFLAGS' "${both_ways[@]}"
    variant 'ring -DLATE_ACK' raises_only_from_zero
}
both_ways=(looks_before_it_asks no_fence_before_last_look never_looks_again bell_cleared_late never_renotifies entry_before_index
    used_idx_without_release decides_before_publishing no_fence_before_interrupt_decision)

tag() { case $1 in *FLAGS*) echo _with_flags ;; *LATE_ACK*) echo _with_a_late_acknowledge ;; esac; }
variant() { # MODEL-AND-OPTIONS NAME...
    local model=${1%% *} options=${1#"${1%% *}"} name
    shift
    for name in "$@"; do
        echo "found_out_${model}_$name$(tag "$options"): $model breaks$options -DBREAK_$name"
    done
}

# Not in FOLDER: MODEL VERDICT [OPTIONS].
MEMORY_MB=2500      # the largest takes 1.4 GB
DEPTH=4000000       # steps; the longest path has a third of it
search() {
    local folder=$1 model=$2 verdict=$3 option level=-O2
    shift 3
    [ "$verdict" = holds ] || level=-O0     # found at once: what takes time is the compiler
    local -a spin=() build=(-DSAFETY -DNOCLAIM) run=("-m$DEPTH")
    for option in "$@"; do
        case $option in
            CLAIM=*) build=(-DNFAIR=3) run+=(-a -f -N "${option#CLAIM=}") ;;
            *) spin+=("$option") ;;
        esac
    done
    mkdir -p "$folder" && cp "tests/proof/$model.pml" "$folder" && cd "$folder" || return 1
    spin "${spin[@]}" -a "$model.pml" && gcc $level -w "${build[@]}" -DMEMLIM=$MEMORY_MB -o pan pan.c && nice ./pan "${run[@]}" > said
    local is_whole=yes
    grep -qE 'max search depth too small|reached -DMEMLIM|out of memory|Search not completed' said && is_whole=no
    case $verdict in
        holds) [ $is_whole = yes ] && grep -q 'errors: 0$' said ;;
        # An error of Spin itself or of the compiler is no find.
        breaks) grep -qE '^pan:1: (invalid end state|assertion violated|acceptance cycle)' said ;;
    esac
    local rc=$?
    [ $rc = 0 ] || cat said
    return $rc
}

if [ "${1-}" = --one ]; then
    read -r number name words <<< "$2"
    # shellcheck disable=SC2086  # a list of words
    if search "$3/$number" $words > "$3/$number.said" 2>&1; then echo "ok $number - ${name%:}"; else
        echo "not ok $number - ${name%:}"
        sed 's/^/# /' "$3/$number.said"
    fi > "$3/$number.tap"
    rm -rf "${3:?}/$number"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
command -v spin > /dev/null || { echo '1..0 # SKIP spin is not installed: run scripts/setup test'; exit 0; }

mapfile -t list < <(proofs | awk '{ print NR, $0 }')
printf '%s\0' "${list[@]}" | xargs -0 -P2 -I{} bash tests/proof/prove.t --one {} "$work"
for ((i = 1; i <= ${#list[@]}; i++)); do cat "$work/$i.tap"; done

n=${#list[@]}
say() { # STATUS NAME; what is wrong is in $work/said
    n=$((n + 1))
    if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; sed 's/^/# /' "$work/said"; fi
}

# One runner, written twice: what the model does in random runs, the checker of recorded runs must accept, and of what broken models do it
# must refuse something. A run that ended before it began has no step to check.
checker=${CONFORMANCE-build/tests/kvm/test_conformance}
RUNS=60
SIMULATED_STEPS=50000
simulate() ( # OPTION...: says what is refused, and how many runs there were
    cd "$work" && cp "$tree/tests/proof/runner.pml" . || exit
    runs=0
    for ((seed = 1; seed <= RUNS; seed++)); do
        spin -T -B -n$seed -u$SIMULATED_STEPS -DTRACE "$@" runner.pml | grep -E '^[wxsecrhugEp][0-9]+$' > trace
        grep -q w trace || continue
        runs=$((runs + 1))
        "$tree/$checker" --check 2 < trace > verdict 2>&1 || { echo "seed $seed: $(cat verdict)"; tr '\n' ' ' < trace; echo; }
    done
    [ "$runs" -gt $((RUNS / 2)) ] || echo "only $runs runs"
)
tree=$PWD
simulate > "$work/said"
[ ! -s "$work/said" ]
say $? the_checker_of_recorded_runs_accepts_what_the_model_does
for name in exit_before_want signal_before_exit reads_want_first last_reason_wins; do
    simulate -DBREAK_$name > "$work/said"
    grep -qE '^seed [0-9]+: [a-z].*: step' "$work/said"
    say $? "the_checker_refuses_what_the_model_does_broken_by_$name"
done

# Each variant that a model can build is asked for above.
written=$(grep -ho 'BREAK_[a-z_]*' tests/proof/*.pml | grep -v BREAK_name | sort -u)
asked=$(proofs | grep -o 'BREAK_[a-z_]*' | sort -u)
diff <(echo "$written") <(echo "$asked") > "$work/said"
say $? every_broken_variant_is_tried
echo "1..$n"
