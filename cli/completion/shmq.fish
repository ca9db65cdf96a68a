# fish completion for shmq: verbs, options, and the names of queues. Verbs and options come from the
# program's own help, so that this file need not follow it.

function __shmq_queues
    shmq status &>/dev/null; and shmq ls --names 2>/dev/null
end

function __shmq_verbs
    shmq --help 2>/dev/null | string match -rg '^  ([a-z]+ +[A-Z].*)' | string replace -r ' +' \t
end

# The verb that stands on the line, or nothing.
function __shmq_verb
    set -l words (commandline -opc)
    set -l skip 1
    for word in $words
        if test $skip -gt 0
            set skip (math $skip - 1)
        else if contains -- $word --socket --color
            set skip 1
        else if not string match -q -- '-*' $word
            echo $word
            return
        end
    end
    return 1
end

function __shmq_options
    shmq (__shmq_verb) --help 2>/dev/null |
        string match -rag -- '(?:^|[ ,])(--[a-z0-9][a-z-]*)' | sort -u
end

complete -c shmq -f
complete -c shmq -n 'not __shmq_verb >/dev/null' -a '(__shmq_verbs)'
complete -c shmq -n 'string match -q -- "-*" (commandline -ct)' -a '(__shmq_options)'
complete -c shmq -n 'contains -- (__shmq_verb) dlq' -a 'ls show redrive purge'
complete -c shmq -n 'contains -- (__shmq_verb) journal' -a 'ls verify dump' -F
complete -c shmq -n 'contains -- (__shmq_verb) import' -F
complete -c shmq -n 'set -l verb (__shmq_verb); and not contains -- $verb import journal' -a '(__shmq_queues)'
complete -c shmq -l socket -rF
complete -c shmq -l color -xa 'auto always never'
