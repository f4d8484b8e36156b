/// The part of Jinja 3 that chat templates use: lexer, parser, interpreter, and Python's rules for values. A template comes with a download and is read as
/// hostile: work, output and nesting are bounded, and every complaint is a [rqat.text.jinja.JinjaError] with its line.
///
/// Nothing here knows of conversations, models or files; those are the matter of [rqat.text.ChatTemplate].
@NullMarked
package rqat.text.jinja;

import org.jspecify.annotations.NullMarked;
