#include "cli/progress.h"

#include "base/clock.h"
#include "cli/people.h"
#include "cli/terminal.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PATIENCE_MS = 700, EVERY_MS = 200, BAR_COLUMNS = 24, NUMBERS_COLUMNS = 34, LEAST_NAME_COLUMNS = 8 };

ent_cli_progress ent_cli_progress_of(const char *what, uint64_t total)
{
    int64_t now_ms = ent_clock_monotonic_ms();
    return (ent_cli_progress){.what = what,
                              .total = total,
                              .began_ms = now_ms,
                              .shown_ms = now_ms,
                              .on_terminal = isatty(STDERR_FILENO) != 0};
}

static void put_bar(ent_buf *out, unsigned percent)
{
    unsigned full = percent * BAR_COLUMNS / 100;
    ent_buf_put_u8(out, '[');
    for (unsigned i = 0; i < BAR_COLUMNS; i++)
        ent_buf_put_u8(out, i < full ? '#' : '.');
    ent_buf_put_format(out, "] %3u%%, ", percent);
}

void ent_cli_progress_put(ent_buf *out, const ent_cli_progress *progress, uint64_t done, size_t columns)
{
    ENT_CLEANUP(ent_buf_release) ent_buf name = {0};
    bool known = progress->total > 0;
    bool has_bar = known && columns >= LEAST_NAME_COLUMNS + BAR_COLUMNS + NUMBERS_COLUMNS;
    size_t rest = NUMBERS_COLUMNS + (has_bar ? (size_t)BAR_COLUMNS : 0);
    if (done > progress->total && known)
        done = progress->total;
    unsigned percent = known ? (unsigned)((double)done * 100.0 / (double)progress->total) : 0;
    ent_cli_put_line(&name, ent_text_of(progress->what));
    (void)ent_cli_put_fitted(out, ent_buf_text(&name),
                             columns > rest + LEAST_NAME_COLUMNS ? columns - rest : LEAST_NAME_COLUMNS);
    ent_buf_put_string(out, ": ");
    if (has_bar)
        put_bar(out, percent);
    else if (known)
        ent_buf_put_format(out, "%u%%, ", percent);
    ent_cli_put_bytes(out, done);
    if (known) {
        ent_buf_put_string(out, " of ");
        ent_cli_put_bytes(out, progress->total);
    }
}

static size_t columns_of_terminal(void)
{
    struct winsize size = {0};
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? size.ws_col : 80;
}

void ent_cli_progress_to(void *context, uint64_t done)
{
    ent_cli_progress *progress = context;
    ENT_CLEANUP(ent_buf_release) ent_buf line = {0};
    int64_t now_ms = ent_clock_monotonic_ms();
    if (!progress->on_terminal || now_ms - progress->began_ms < PATIENCE_MS ||
        (progress->shown && now_ms - progress->shown_ms < EVERY_MS))
        return;
    progress->shown = true;
    progress->shown_ms = now_ms;
    ent_buf_put_string(&line, "\r\033[K");
    ent_cli_progress_put(&line, progress, done, columns_of_terminal() - 1);
    if (ent_buf_check(&line, NULL).code == ENT_OK)
        (void)!write(STDERR_FILENO, line.data, line.size);
}

void ent_cli_progress_end(ent_cli_progress *progress)
{
    static const char clear[] = "\r\033[K";
    if (progress->shown)
        (void)!write(STDERR_FILENO, clear, sizeof clear - 1);
    progress->shown = false;
}
