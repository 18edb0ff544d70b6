# shellcheck shell=bash
# What the emulated host runs: the command, with this shell's directory and environment. Plain sh, since busybox may be the one to read it.

# Names that tell of this machine or of this shell, not of the task.
is_private_name() {
    case $1 in
    _ | SHLVL | OLDPWD | PWD | TMPDIR | BASH* | DISPLAY | SSH_* | XDG_RUNTIME_DIR | DBUS_*) return 0 ;;
    *) [[ ! $1 =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] ;;
    esac
}

write_command() {
    local name
    while IFS= read -r name; do
        is_private_name "$name" || printf 'export %s=%q\n' "$name" "${!name}"
    done < <(compgen -e)
    [ ! -e "$session/foreign" ] || echo "PATH=/run/lab-bin:\$PATH"
    echo "export VIREO_LAB=$host"
    printf 'cd %q || exit 125\n' "$PWD"
    printf 'exec'
    printf ' %q' "${command[@]}"
    echo
}

# needs_sharing FOLDER: whether a fresh /tmp would hide it.
needs_sharing() { [[ $1 == /tmp/* || $1 == /run/* ]]; }
