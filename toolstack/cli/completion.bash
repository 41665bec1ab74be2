# SPDX-License-Identifier: MIT
# Completion of sluice(1) for bash: verbs, their options, hosts, domains and what they have come from the command.

_sluice() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb='' i w candidates
    local common='-H --host --json --quiet --timeout --config --ca --cert --key --token-file --insecure --help --version'
    local -a with=() given=()

    # The verb, and the options that say which host is meant.
    for ((i = 1; i < COMP_CWORD; i++)); do
        w=${COMP_WORDS[i]}
        case $w in
        -H | --host | --config | --ca | --cert | --key | --token-file | --timeout)
            with+=("$w" "${COMP_WORDS[++i]}")
            ;;
        --insecure) with+=("$w") ;;
        -?*) ;;
        *) if [ -n "$verb" ]; then given+=("$w"); else verb=$w; fi ;;
        esac
    done
    case $prev in
    -H | --host)
        mapfile -t COMPREPLY < <(compgen -W "$(sluice _complete hosts 2> /dev/null)" -- "$cur")
        return
        ;;
    --config | --ca | --cert | --key | --token-file)
        compopt -o filenames 2> /dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    esac
    if [[ $cur == -* ]]; then
        candidates=$([ -z "$verb" ] || sluice _complete options "$verb" 2> /dev/null)
        mapfile -t COMPREPLY < <(compgen -W "$candidates $common" -- "$cur")
    elif [ -z "$verb" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(sluice _complete verbs 2> /dev/null)" -- "$cur")
    else
        candidates=$(sluice "${with[@]}" _complete arguments "$verb" "${given[@]}" 2> /dev/null)
        if [ "$candidates" = @files ]; then
            compopt -o filenames 2> /dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        else
            mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$cur")
        fi
    fi
}
complete -F _sluice sluice
