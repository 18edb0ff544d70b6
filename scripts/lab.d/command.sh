# shellcheck shell=bash
# What the emulated host runs: the command, with this shell's directory and environment. Plain sh, since busybox may be the one to read it.

# Variables that describe this machine or this shell, not the task: not handed on.
is_private_name() {
    case $1 in
    _ | SHLVL | OLDPWD | PWD | TMPDIR | BASH* | DISPLAY | SSH_* | XDG_RUNTIME_DIR | DBUS_*) return 0 ;;
    *) [[ ! $1 =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] ;;
    esac
}

# quoted WORD: so that any sh reads it back, newlines and all; bash's own %q has a form that dash lacks.
quoted() {
    local quote=\'
    printf "'%s'" "${1//$quote/$quote\\$quote$quote}"
}

write_command() {
    local name
    while IFS= read -r name; do
        is_private_name "$name" || printf 'export %s=%s\n' "$name" "$(quoted "${!name}")"
    done < <(compgen -e)
    [ ! -e "$session/foreign" ] || echo "PATH=/run/lab-bin:\$PATH"
    echo "export VIREO_LAB=$host"
    echo "cd $(quoted "$PWD") || exit 125"
    printf exec
    for name in "${command[@]}"; do printf ' '; quoted "$name"; done
    echo
}
