"""`splitwatt completion bash | zsh`: a script that makes TAB complete verbs, options and their values.

It is made from the parsers of all verbs that run here. The scripts `profile` and `export` complete like
the verbs of these names.
"""

import argparse
import contextlib
import importlib
from typing import Dict, List

import splitwatt.__main__ as umbrella
from splitwatt.device_configs.cli import parser, parser_of, print_json, say
from splitwatt.device_configs.targets import known_targets

_EXAMPLE = "source <(splitwatt completion bash)"
# zsh runs completions of bash itself.
_ZSH = """autoload -U +X compinit && compinit
autoload -U +X bashcompinit && bashcompinit
"""
# Files complete if nothing else does. bash makes words of `--option=value` at the `=`, zsh does not. `export` without a path is the shell's own: it has variables.
_SCRIPT = """_splitwatt() {
    local line=("${COMP_WORDS[@]}") at="$COMP_CWORD"
    case "${line[0]}" in
        (export) COMPREPLY=($(compgen -v -- "${line[at]}")); return ;;
        (profile|*/profile|*/export) line=(splitwatt "${line[0]##*/}" "${line[@]:1}"); at=$((at + 1)) ;;
    esac
    local word="${line[at]}" before="${line[at-1]}" verb="${line[1]}" words=""
    local prefix=""
    case "$word" in
        (=) word="" ;;
        (--*=*) prefix="${word%%%%=*}="; before="${word%%%%=*}"; word="${word#*=}" ;;
        (*) if [ "$before" = "=" ]; then before="${line[at-2]}"; fi ;;
    esac
    if [ "$at" -gt 2 ]; then
        case "$verb" in (%s) verb="$verb ${line[2]}";; esac
    fi
    if [ "$at" -eq 1 ]; then
        words="%s"
    else
        case "$verb $before" in
%s
        (*) case "$verb" in
%s
            esac
            case "$word" in (-*) ;; (*) words=" $words "; words="${words// -*/}" ;; esac
        esac
    fi
    COMPREPLY=($(compgen -P "$prefix" -W "$words" -- "$word"))
}
complete -o bashdefault -o default -F _splitwatt splitwatt profile export
"""


def completion(argv: List[str]) -> int:
    """The command; its exit code."""
    result = parser(
        "completion",
        "Print a script that makes TAB complete splitwatt, profile and export. The example's line is for\n"
        "~/.bashrc; with zsh in place of bash for ~/.zshrc.",
        _EXAMPLE,
    )
    result.add_argument("shell", choices=("bash", "zsh"), help="your shell")
    options = result.parse_args(argv)
    script = (_ZSH if options.shell == "zsh" else "") + _script()
    if options.json:
        print_json({"shell": options.shell, "script": script})
    else:
        say(script)
    return 0


def _script() -> str:
    verbs = [verb for verb in umbrella.VERBS if umbrella.runs_here(verb)]
    named = _named_values()
    after, own = [], []
    for verb in verbs:
        if verb in umbrella.BELOW:
            own.append(_case(verb, list(umbrella.BELOW[verb])))
        for below in [[name] for name in umbrella.BELOW.get(verb, ())] or [[]]:
            words: List[str] = []
            for action in parser_of(umbrella.command_of(verb), *below)._actions:
                values = _values(action, named)
                if action.option_strings:
                    after += [
                        _case(" ".join([verb] + below + [flag]), values)
                        for flag in action.option_strings
                        if action.nargs != 0
                    ]
                else:
                    words = values + words
                words += action.option_strings
            own.append(_case(" ".join([verb] + below), words))
    return _SCRIPT % ("|".join(umbrella.BELOW), " ".join(verbs), "\n".join(after), "\n".join(own))


def _case(pattern: str, words: List[str]) -> str:
    return '        ("%s") words="%s" ;;' % (pattern, " ".join(words))


def _values(action: argparse.Action, named: Dict[str, List[str]]) -> List[str]:
    """The possible values of an option or argument; [] if it can be anything, such as a file."""
    if action.choices:
        return [str(choice) for choice in action.choices]
    return next((named[flag] for flag in action.option_strings if flag in named), [])


def _named_values() -> Dict[str, List[str]]:
    """Option -> the names that it accepts on this machine."""
    config = importlib.import_module("splitwatt.profiler.config.config")
    backends = importlib.import_module("splitwatt.engines.backends")
    targets = known_targets()
    values = {"--config": config.packaged(), "--target": targets, "--server-target": targets}
    values["--backend"] = values["--server-backend"] = list(backends.BACKENDS)
    if umbrella.runs_here("models"):
        with contextlib.suppress(ImportError):  # of the export extra
            values["--model"] = list(importlib.import_module("splitwatt.export.zoo").systems())
    return values
