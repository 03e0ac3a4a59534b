/* What the verbs of `entente` share: a table row each, parsed arguments, the output.  Source: design.md section 10. */
#ifndef ENT_CLI_CLI_H
#define ENT_CLI_CLI_H

#include "base/alloc.h"

/** One option of a verb. */
typedef struct {
    const char *name;   /* "--output" */
    const char *letter; /* "-o", or NULL */
    const char *value;  /* what stands for its value in the help, or NULL for a switch */
    bool repeats;
    const char *help; /* lines; the help indents them */
} ent_cli_option;

typedef struct ent_cli ent_cli;

/** One verb: a row of the command table. */
typedef struct {
    const char *words;     /* "peer add" */
    const char *arguments; /* synopsis of what follows, "" for nothing */
    const char *summary;   /* one line for the list of verbs */
    const char *text;      /* paragraphs for the verb's own help */
    const char *examples;
    const ent_cli_option *options; /* ends with a row whose name is NULL; those of every verb are not repeated */
    size_t least;                  /* positional arguments */
    size_t most;
    ENT_RC (*run)(ent_cli *cli, ent_err *err);
} ent_cli_command;

/** An option as it was given. */
typedef struct {
    const ent_cli_option *option;
    const char *value; /* NULL for a switch */
} ent_cli_given;

/** One run of one verb. */
struct ent_cli {
    const ent_cli_command *command;
    const char **positional;
    size_t positional_count;
    ent_cli_given *given;
    size_t given_count;
    const char *folder; /* --dir or ENTENTE_DIR; NULL when neither is there */
    bool json;
    bool help;
    bool colour;
    unsigned width; /* columns of the terminal; 0 = no terminal, nothing is cut */
    ent_buf out;    /* written to standard output when the verb ends, also when it fails */
};

/** Options of every verb. */
extern const ent_cli_option ent_cli_common_options[];

/** Take the arguments after the program's name apart: find the verb and hold the rest to its table.
 *  @in   commands   ends with NULL
 *  @out  ret        command is NULL when only help was asked for; release with ent_cli_release also after a failure
 *  Errors: USAGE with what to type next, NOMEM. */
ENT_RC ent_cli_arguments_read(const ent_cli_command *const *commands, int count, char **arguments, ent_cli *ret,
                              ent_err *err);
void ent_cli_release(ent_cli *cli);

/** Value of an option; NULL when it was not given. */
const char *ent_cli_value(const ent_cli *cli, const char *name);
/** Value of its at-th occurrence; NULL when there are fewer. */
const char *ent_cli_value_at(const ent_cli *cli, const char *name, size_t at);
bool ent_cli_has(const ent_cli *cli, const char *name);
/** The party's folder.  Errors: USAGE when none was named. */
ENT_RC ent_cli_folder(const ent_cli *cli, const char **ret, ent_err *err);
/** A decimal option.  Errors: USAGE when it is no number up to maximum. */
ENT_RC ent_cli_number(const ent_cli *cli, const char *name, uint64_t maximum, uint64_t fallback, uint64_t *ret,
                      ent_err *err);

/** The list of verbs, for `entente --help`. */
void ent_cli_put_overview(ent_buf *buf, const ent_cli_command *const *commands);
/** The list of verbs that begin with a word ("peer"); false when there is none. */
bool ent_cli_put_group(ent_buf *buf, const ent_cli_command *const *commands, const char *word);
/** Help of one verb. */
void ent_cli_put_help(ent_buf *buf, const ent_cli_command *command);
void ent_cli_put_version(ent_buf *buf);

/** Print a hint or a warning on standard error, "entente: " before it. Never part of what a program reads. */
void ent_cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Print a failure on standard error: for people, or in the API's shape. */
void ent_cli_print_failure(const ent_err *err, bool json);
/** Write what the verb made to standard output and empty it.  Errors: IO, IO_FULL. */
ENT_RC ent_cli_flush(ent_cli *cli, ent_err *err);

#endif
