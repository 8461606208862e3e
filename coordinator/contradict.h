/* contradict.h - whether a sentence speaks of something else than the question names.
 *
 * Names: words such as KubernetesPodOperator; a sentence that names another one with the same last
 * part (PythonOperator) and none of the question's speaks of something else. Numbers: "exit code
 * 137", "Airflow 2.10": the same word with another number, and nowhere the question's. "2" and
 * "2.10" agree, "2.6+" agrees with everything.
 *
 * Thread: any thread (pure functions).
 */
#ifndef AIRLORE_COORDINATOR_CONTRADICT_H
#define AIRLORE_COORDINATOR_CONTRADICT_H

#include "airlore/str.h"

/* Any bytes; each text is looked at up to 16 KiB. */
bool al_contradicts(struct al_str question, struct al_str sentence);

/* The version that a question asks about ("in Airflow 3", "airflow v2.10.1"), "" for none; a view
 * of it. */
struct al_str al_asked_version(struct al_str question);

#endif
