# shellcheck shell=bash
# Completion of vireo for bash. It knows no option itself: the program that is being typed lists them (vireo help --list).

# What may stand where the option's table has this word: "on|off", "FILE", "stdio|file=PATH|pty|off", "path=FILE[,...]", and of a list
# "cpuid[,...]|nop[,...]".
_vireo_value() {
    local arg=${1#\[} cur=$2 word words=() alternatives
    IFS='|' read -ra alternatives <<< "${arg%\]}"
    for word in "${alternatives[@]}"; do
        case $word in
        FILE* | PATH | PROGRAM) compopt -o filenames 2> /dev/null; mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$cur") ;;
        [a-z]*=*) words+=("${word%%=*}="); compopt -o nospace 2> /dev/null ;;
        [A-Za-z]*"[,...]") words+=("${cur%"${cur##*,}"}${word%"[,...]"}"); compopt -o nospace 2> /dev/null ;;
        [a-z0-9-]*) words+=("$word") ;;
        esac
    done
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W "${words[*]}" -- "$cur")
}

_vireo() {
    local program=${1/#\~/$HOME} command=() cur=${COMP_WORDS[COMP_CWORD]} at=$((COMP_CWORD - 1)) before key='' list
    COMPREPLY=()
    [ "$COMP_CWORD" -le 1 ] || command=("${COMP_WORDS[1]}")
    [ "$COMP_CWORD" -le 2 ] || [[ ${COMP_WORDS[2]} == -* ]] || command+=("${COMP_WORDS[2]}")    # its first word, as a kind of bench is
    # bash takes "--json=a" for three words. The cursor may stand on the second or behind it.
    if [ "$cur" = = ]; then
        cur='' key=${COMP_WORDS[at]}
    elif [ "${COMP_WORDS[at]}" = = ]; then
        key=${COMP_WORDS[at - 1]}
    fi
    list=$("$program" help --list "${command[@]}" 2> /dev/null) || return
    case $key in
    --*) before=$key ;;
    '') before=${COMP_WORDS[at]} ;;
    *) _vireo_value "$([[ $key == @(path|file|*,path) ]] && echo FILE)" "$cur"; return ;;
    esac
    if [[ $before == --* ]]; then
        local name arg
        while IFS=$'\t' read -r name arg; do
            [ "$name" = "$before" ] || continue
            arg=${arg%%$'\t'*}
            [ "$arg" != - ] && { [[ $arg != \[* ]] || [ -n "$key" ]; } || break
            _vireo_value "$arg" "$cur"
            return
        done <<< "${list//$'\t\t'/$'\t'-$'\t'}"
    fi
    local words
    words=$(cut -f 1 <<< "$list")
    [[ $cur == -* ]] || words=$(grep -v '^--' <<< "$words")
    if [ "$words" = FILE ]; then _vireo_value FILE "$cur"; else mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur"); fi
}
complete -F _vireo vireo
