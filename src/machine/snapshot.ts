/**
 * State as data. Each part of the machine knows its own: what `save` returns stays as it is whatever the part does
 * afterwards, and `restore` makes the part behave as it did then.
 *
 * What only makes the machine fast (translated blocks, the MMU's fast caches) is no state.
 */
export interface Snapshotable<State> {
  save(): State;
  restore(state: State): void;
}
