"""lvsha-cli: asks the control API, and tells a person or a script what it answers.

It starts in well under a tenth of a second, because an operator types it often and scripts call it in
loops: click is imported, and the module of the one command that runs; rich only before a terminal, the
configuration only to check one. Nothing here knows the director.

    app        the commands there are, loaded when they are called
    client     HTTP over the Unix socket
    failure    what can go wrong, each with its exit status
    show       tables: coloured on a terminal, aligned text elsewhere, JSON when asked
    words      durations, ages, numbers, and text that may be hostile
    wait       until a drained server has no connection left
    commands   one module a theme
"""
