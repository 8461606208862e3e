/* names.h - options that name things of the contract: teams, deployments, enum values. Thread: the
 * main thread. */
#ifndef AIRLORE_CLI_NAMES_H
#define AIRLORE_CLI_NAMES_H

#include "cli.h"

/* Value of an option whose words are those of an enum, as any enum type of the contract (they are
 * ints). False after saying what is wrong. Leaves *ret when the option is absent. */
bool al_cli_enum_word(const struct al_cli *c, const char *option, const char *word,
                      const ProtobufCEnumDescriptor *e, int *ret);

/* The same for an enum variable. */
#define al_cli_enum_option(c_, opt_, descriptor_, ret_)                                          \
    __extension__({                                                                              \
        int al_value_ = (int)*(ret_);                                                            \
        bool al_ok_ = (c_)->args.value[opt_] == NULL ||                                          \
                      al_cli_enum_word((c_), al_cli_opt_defs[opt_].name, (c_)->args.value[opt_], \
                                       (descriptor_), &al_value_);                               \
        *(ret_) = (__typeof__(*(ret_)))al_value_;                                                \
        al_ok_;                                                                                  \
    })

/* Id of the own team, asked once; NULL after saying what is wrong, *ret_exit then. */
const char *al_cli_own_team(struct al_cli *c, int *ret_exit);

/* Resource name of a team: "TEAM" or "teams/TEAM" in the arena. */
char *al_cli_team_name(struct al_cli *c, const char *team);

/* --team as a resource name, or "" when absent. */
char *al_cli_team_option(struct al_cli *c);

/* --deployment as a resource name into *ret ("NAME", "TEAM/NAME" or whole); *ret stays when it is
 * absent. Gives an exit code. */
int al_cli_deployment_option(struct al_cli *c, char **ret);

/* A copy in the arena, never NULL. */
char *al_cli_keep(struct al_cli *c, const char *s);

/* "PREFIX/ID" unless it begins with the prefix already, in the arena. */
char *al_cli_resource(struct al_cli *c, const char *prefix, const char *id);

/* --scope options as an array in the arena. False after saying what is wrong. */
bool al_cli_scopes(struct al_cli *c, size_t *ret_n, Airlore__V1__Visibility **ret);

#endif
