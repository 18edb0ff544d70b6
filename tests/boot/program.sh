# shellcheck shell=bash
# The program under test, run in the folder of the test. A script that sources this sets VIREO and RUN_LIMIT_S.

vireo() { timeout "$RUN_LIMIT_S" "$VIREO" "$@" < /dev/null; }

# ends STATUS WORD...: it ends with that status; its standard output is in ./out, its errors in ./err.
ends() {
    local want=$1 got=0
    shift
    vireo "$@" > out 2> err || got=$?
    [ $got = "$want" ] || { echo "vireo $*: exit status $got, not $want"; cat out err; return 1; }
}
