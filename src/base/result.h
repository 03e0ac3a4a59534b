/* Results and errors: every fallible function returns an ent_rc the compiler makes you check. */
#ifndef ENT_BASE_RESULT_H
#define ENT_BASE_RESULT_H

#include <stddef.h>

/** What went wrong in general; decides who must act. */
typedef enum {
    ENT_CLASS_OK,
    ENT_CLASS_USAGE,   /* the caller asked for something that makes no sense */
    ENT_CLASS_REFUSED, /* a rule forbids it, though the request is well formed */
    ENT_CLASS_PEER,    /* what came from outside is not valid */
    ENT_CLASS_ABSENT,  /* it does not exist here */
    ENT_CLASS_RETRY,   /* try again later */
    ENT_CLASS_IO,      /* file, disk, network */
    ENT_CLASS_NOMEM,
    ENT_CLASS_BUG
} ent_class;

/** Every error this project can give; HTTP and exit status derive from it (errors.def). */
typedef enum {
    ENT_OK = 0,
#define X(name, word, error_class, http, exit_status) ENT_##name,
#include "base/errors.def"
#undef X
    ENT_CODE_COUNT
} ent_code;

typedef struct {
    int code; /* an ent_code */
} ent_rc;

/** Return type of every fallible function: the result must be looked at. */
#define ENT_RC __attribute__((warn_unused_result)) ent_rc

#define ENT_DONE ((ent_rc){ENT_OK})

/** Details of a failure for a person. The strings live inside; no ownership. */
typedef struct {
    int code;
    char rule[96];          /* specification and section, "" when none applies */
    char text[512];         /* what, where, why, what next */
    unsigned retry_after_s; /* seconds after which it is worth trying again; 0 = not known */
} ent_err;

/** Pass a failure on to the caller. */
#define ENT_TRY(call)                                                                                                  \
    do {                                                                                                               \
        ent_rc ent_try_rc_ = (call);                                                                                   \
        if (ent_try_rc_.code != ENT_OK)                                                                                \
            return ent_try_rc_;                                                                                        \
    } while (0)

/** Record a failure and return it: `return ent_fail(err, ENT_PEER_MALFORMED, "signed-note, Format", "...", ...)`.
 *  @in   err    nullable
 *  @in   rule   nullable
 *  Errors: always the given code. */
#define ent_fail(err, error_code, ...) (ent_err_set((err), (error_code), __VA_ARGS__), ent_rc_of(error_code))

/** Put "context: " before the text of a recorded failure and return rc unchanged. */
#define ent_fail_in(err, rc, ...)                                                                                      \
    __extension__({                                                                                                    \
        const ent_rc ent_fail_in_rc_ = (rc);                                                                           \
        ent_err_put_in((err), ent_fail_in_rc_.code, __VA_ARGS__);                                                      \
        ent_fail_in_rc_;                                                                                               \
    })

/* What the two are made of: macros and an inline function, so that every compiler and checker sees that a failure is
 * one. */
void ent_err_set(ent_err *err, ent_code code, const char *rule, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void ent_err_put_in(ent_err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
static inline ENT_RC ent_rc_of(ent_code code)
{
    ent_rc rc = {(int)code};
    return rc;
}

/** Stable word for a code ("malformed"), as shown to people and sent in JSON reasons. */
const char *ent_code_word(int code);
ent_class ent_code_class(int code);
int ent_code_http_status(int code);
int ent_code_exit_status(int code);
/** Find a code by its stable word; ENT_CODE_COUNT when there is none. */
int ent_code_from_word(const char *word, size_t word_size);

/** Run fn(&variable) when the variable leaves its scope. */
#define ENT_CLEANUP(fn) __attribute__((cleanup(fn)))

/** Hand a pointer over: yields it and leaves NULL behind. */
#define ent_take(pointer)                                                                                              \
    __extension__({                                                                                                    \
        __typeof__(pointer) ent_take_ = (pointer);                                                                     \
        (pointer) = NULL;                                                                                              \
        ent_take_;                                                                                                     \
    })

#endif
