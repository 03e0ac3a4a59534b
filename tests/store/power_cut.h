/* A disk with a cache that forgets: at a chosen write every write since the last sync of its file is undone, and the
 * process ends. Becomes SQLite's default file system, so the engine stands on it unknowing. */
#ifndef ENT_TESTS_STORE_POWER_CUT_H
#define ENT_TESTS_STORE_POWER_CUT_H

/** Install it in this process, which has not opened a store yet, and cut at the Nth write, sync or truncation. */
void power_cut_install(unsigned long nth);

#endif
