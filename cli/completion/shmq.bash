# bash completion for shmq: verbs, options, and the names of queues.
# Options come from the program's own help, so that this file need not follow it.

# The names of queues; nothing, and no daemon started, where none runs.
_shmq_queues() {
    local where=()
    [[ -n $1 ]] && where=(--socket "$1")
    shmq status "${where[@]}" &>/dev/null && shmq ls --names "${where[@]}" 2>/dev/null
}

_shmq() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local verb='' verb_at=0 socket='' i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            --socket) socket=${COMP_WORDS[++i]} ;;
            --color) ((++i)) ;;
            -*) ;;
            *) [[ -z $verb ]] && verb=${COMP_WORDS[i]} verb_at=$i ;;
        esac
    done

    local words=''
    case $previous in
        --socket | -f | --file)
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
            ;;
        --color) words='auto always never' ;;
        --overflow) words='block reject drop-oldest spill' ;;
        --when-full) words='block reject' ;;
        --durability) words='accepted logged durable' ;;
        --sort) words='name ready leased sent acked oldest unacked latency spilled consumers' ;;
        --ack) words='each batch cumulative' ;;
        --reason) words='rejected expired crashed max-deliveries' ;;
        --dead-letter | --to) words=$(_shmq_queues "$socket") ;;
        --group)
            mapfile -t COMPREPLY < <(compgen -g -- "$current")
            return
            ;;
        *)
            if [[ $current == -* ]]; then
                words=$(shmq ${verb:+"$verb"} --help 2>/dev/null | grep -oE -- '(^|[ ,])--?[a-z0-9][a-z-]*' |
                    tr -d ' ,' | sort -u)
            elif [[ -z $verb ]]; then
                words=$(shmq --help 2>/dev/null | sed -n 's/^  \([a-z][a-z]*\)  *[A-Z].*/\1/p')
            elif ((COMP_CWORD == verb_at + 1)); then
                case $verb in
                    info | edit | pause | resume | rm | purge | send | recv | pending | peek | ack | nack | extend | release | mv | \
                        consumers | stats | top | dump | audit | bench)
                        words=$(_shmq_queues "$socket")
                        ;;
                    export) words=$(_shmq_queues "$socket") ;;
                    import)
                        mapfile -t COMPREPLY < <(compgen -f -- "$current")
                        return
                        ;;
                    dlq) words='ls show redrive purge' ;;
                    journal) words='ls verify dump' ;;
                esac
            elif ((COMP_CWORD == verb_at + 2)) && [[ $verb == journal ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$current")
                return
            elif ((COMP_CWORD == verb_at + 2)) && [[ $verb == dlq || $verb == mv ]]; then
                words=$(_shmq_queues "$socket")
            fi
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _shmq shmq
