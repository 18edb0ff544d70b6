#!/bin/bash
# What `vireo --help` shows fits a terminal of 80 columns, and what bash and zsh complete is what the program has. Both shells are asked as a user
# does, by a tab in a terminal; bash also word by word. Needs no KVM.
# time limit: 200
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
# shellcheck source=tests/boot/program.sh
. tests/boot/program.sh
TREE=$PWD
VIREO=$PWD/build/vireo
RUN_LIMIT_S=20
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
mkdir bin files run
ln -s "$VIREO" bin/vireo
ln -s "$VIREO-bench" bin/vireo-bench
touch files/vmlinuz files/disk.img files/report
PATH=$work/bin:$PATH

help_fits() {
    local words long
    for words in --help "run --help" "bench --help" "report --help" "fairness --help" "stat --help" "top --help" "wasm --help" "doctor --help" "help --help"; do
        # shellcheck disable=SC2086  # words
        ends 0 $words || return 1
        long=$(awk 'length > 80' out)
        [ -z "$long" ] || { echo "vireo $words: $long"; return 1; }
    done
}
# Every option of the help text is in the list, and no other.
list_is_the_help() {
    local c
    for c in run bench report fairness stat top metrics wasm doctor help; do
        ends 0 $c --help && sed -n 's/^  \(--[a-z-]*\).*/\1/p' out | sort > from-help
        ends 0 help --list $c && sed -n 's/^\(--[a-z-]*\)\t.*/\1/p' out | sort | diff from-help - || return 1
    done
    ends 0 help --list && [ "$(grep -vc '^--' out)" = 11 ]
}

# completes LINE WORD...: exactly these, as readline would ask at the end of LINE.
completes() (
    . "$TREE/scripts/completion/vireo.bash"
    cd files || exit 1
    local line=$1 got
    shift
    read -ra COMP_WORDS <<< "${line//=/ = }"
    [[ $line != *' ' ]] || COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _vireo vireo "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    got=$(printf '%s\n' "${COMPREPLY[@]}" | sort)
    [ "$got" = "$(printf '%s\n' "$@" | sort)" ] || { echo "$line<TAB>: $got"; exit 1; }
)
bash_completes_what_there_is() {
    completes 'vireo ' run exec wasm bench report fairness stat top metrics doctor help && completes 'vireo r' run report && completes 'vireo --v' --version &&
        completes 'vireo run --me' --memory && completes 'vireo help st' stat && completes 'vireo bench ' exits fairness sandbox &&
        completes 'vireo bench exits --ro' --rows && completes 'vireo run --record ' on off && completes 'vireo run --huge-pages ' 1G 2M advise off && completes 'vireo run --console p' pty &&
        completes 'vireo run --console=st' stdio && completes 'vireo run --kernel v' vmlinuz && completes 'vireo run --disk ' path= &&
        completes 'vireo run --disk path=d' disk.img && completes 'vireo run --disk readonly,path=' disk.img report vmlinuz &&
        completes 'vireo bench exits --ex' && completes 'vireo bench exits --del' --delay && completes 'vireo bench fairness --ex' --experiments &&
        completes 'vireo bench exits --rows pio_o' pio_out_user && completes 'vireo bench exits --rows nop,pio_o' nop,pio_out_user &&
        completes 'vireo bench fairness --experiments E1' E1 E10 E11 E12 E14 && completes 'vireo bench fairness --experiments=E1,E7' E1,E7 &&
        completes 'vireo bench exits ' && completes 'vireo bench --processes 1 --ex' --experiments &&
        completes 'vireo run --json=re' report && completes 'vireo run --cpus ' && completes 'vireo run --rng ' && completes 'vireo nonsense ' &&
        completes 'vireo report ' disk.img report vmlinuz && completes 'vireo report d' disk.img && completes 'vireo report disk.img v' vmlinuz &&
        completes 'vireo report --out' --output
}
wait_for() {
    local i
    for ((i = 0; i < 600; i++)); do [ -e "$1" ] && return 0; sleep 0.1; done
    echo "$1 did not come" >&2
}
# types SETUP SHELL...: two lines with tabs in them, in a terminal.
types() {
    local setup=$1
    shift
    rm -f ready typed listed finished
    {
        printf '%s; : > ready\n' "$setup"
        wait_for ready
        printf 'vireo help --li\t > typed; vireo run --record of\t --initrd files/vm\t 2> refused; vireo report files/di\t 2> listed; : > finished\n'
        wait_for finished
        printf 'exit\n'
    } | timeout 100 script -qec "$*" /dev/null > screen
    grep -q '^--version' typed && grep -q 'initrd files/vmlinuz: there is no kernel' refused &&
        grep -q 'files/disk.img: line 1' listed || { cat screen typed refused listed; return 1; }
}
bash_completes_in_a_terminal() { types ". '$TREE/scripts/completion/vireo.bash'" bash --noprofile --norc -i; }
zsh_completes_in_a_terminal() {
    types "fpath=('$TREE/scripts/completion' \$fpath); autoload -Uz compinit; compinit -u -D" zsh -f -i
}

check "the help of every command fits into 80 columns" help_fits
check "the list for shells has the options of the help" list_is_the_help
check "bash completes commands, options, choices, kinds and files" bash_completes_what_there_is
check "bash completes at a tab in a terminal" bash_completes_in_a_terminal
if command -v zsh > /dev/null; then
    check "zsh completes at a tab in a terminal" zsh_completes_in_a_terminal
else skip "zsh completes at a tab in a terminal" "no zsh on this machine"; fi
tap_done
