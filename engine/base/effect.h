// What became of a command whose offset is committed. Each has exactly one of these.
#ifndef ESD_ENGINE_BASE_EFFECT_H_
#define ESD_ENGINE_BASE_EFFECT_H_

namespace esd {

enum class Effect {
  kAccepted,    // had its events, or needed none
  kRejected,    // the domain said no, or an expected version was not met
  kDuplicate,   // answered with the outcome of an earlier command with its id
  kDeadLetter,  // can't be processed, and was put aside
  kForwarded,   // was in a wrong partition, and was copied to its own
};

}  // namespace esd

#endif  // ESD_ENGINE_BASE_EFFECT_H_
