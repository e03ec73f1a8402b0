"""Writes the files beside it with Optuna 5 and pandas: python write.py, then
optuna trials --study-name tune --storage-class JournalFileBackend --storage optuna.journal -f json
> optuna-cli.json
"""

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend


def objective(trial):
    x = trial.suggest_float("x", -5, 10)
    n = trial.suggest_int("n", 1, 8)
    rate = trial.suggest_float("rate", 1e-4, 1, log=True)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    if trial.number == 3:
        raise optuna.TrialPruned()
    if trial.number == 5:
        return float("nan")
    return (x - 2) ** 2 + abs(n - 3) + (kind == "b") + abs(rate - 0.01)


optuna.logging.set_verbosity(optuna.logging.ERROR)
storage = JournalStorage(JournalFileBackend("optuna.journal"))
sampler = optuna.samplers.RandomSampler(seed=1)
study = optuna.create_study(study_name="tune", storage=storage, sampler=sampler)
study.optimize(objective, n_trials=10)
study.add_trial(
    optuna.create_trial(
        params={"x": 2.5, "n": 3, "rate": 0.01, "kind": "a"},
        distributions=study.best_trial.distributions,
        value=0.25,
    )
)
other = optuna.create_study(study_name="other", direction="maximize", storage=storage)
other.optimize(lambda trial: -(trial.suggest_float("x", -5, 10) ** 2), n_trials=2)
study.trials_dataframe().to_csv("optuna.csv")
study.trials_dataframe().to_json("optuna-columns.json")
study.trials_dataframe().to_json("optuna-records.json", orient="records")
