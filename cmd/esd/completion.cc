// Completion scripts, made from the tree of commands, so that they can't fall behind it.
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_replace.h>
#include <absl/strings/str_split.h>

#include <string>
#include <vector>

#include "cmd/esd/commands.h"

namespace esd::cmd {
namespace {

struct Flag {
  std::vector<std::string> names;  // with their dashes
  std::string description;
  bool takes_value = false;
  bool takes_path = false;
  std::vector<std::string> choices;
};

struct Node {
  std::string path;  // `esd topics`
  std::vector<std::pair<std::string, std::string>>
      words;  // subcommands and fixed arguments, with descriptions
  std::vector<Flag> flags;
  std::vector<Node> children;
};

// What fits beside a word on a terminal.
std::string FirstSentence(const std::string& text) {
  const size_t end = text.find(". ");
  std::string sentence = end == std::string::npos ? text : text.substr(0, end);
  if (!sentence.empty() && sentence.back() == '.') sentence.pop_back();
  return sentence;
}

std::vector<std::string> ChoicesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  if (type.find('|') == std::string::npos) return {};
  return absl::StrSplit(type, '|');
}

Flag FlagOf(const CLI::Option& option) {
  Flag flag;
  for (const std::string& name : option.get_snames()) flag.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) flag.names.push_back("--" + name);
  flag.description = FirstSentence(option.get_description());
  flag.takes_value = option.get_items_expected_max() > 0;
  flag.takes_path = option.get_type_name() == "FILE" || option.get_type_name() == "DIR";
  flag.choices = ChoicesOf(option);
  return flag;
}

Node NodeOf(const CLI::App& app, const std::string& path) {
  Node node;
  node.path = path;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    node.words.emplace_back(sub->get_name(), FirstSentence(sub->get_description()));
    node.children.push_back(NodeOf(*sub, absl::StrCat(path, " ", sub->get_name())));
  }
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      for (const std::string& choice : ChoicesOf(*option)) node.words.emplace_back(choice, "");
    } else {
      node.flags.push_back(FlagOf(*option));
    }
  }
  return node;
}

// The node and all below it.
void Flatten(const Node& node, std::vector<const Node*>& nodes) {
  nodes.push_back(&node);
  for (const Node& child : node.children) Flatten(child, nodes);
}

// `"esd serve"|"esd topics"`: where a word leads to a node, as a pattern of a case.
std::string ChildPattern(const std::vector<const Node*>& nodes) {
  std::vector<std::string> paths;
  for (const Node* node : nodes) {
    if (node->path != "esd") paths.push_back(absl::StrCat("\"", node->path, "\""));
  }
  return absl::StrJoin(paths, "|");
}

// `"esd serve --group"|…` for each of a flag's names.
std::string FlagPattern(const Node& node, const Flag& flag) {
  std::vector<std::string> patterns;
  for (const std::string& name : flag.names)
    patterns.push_back(absl::StrCat("\"", node.path, " ", name, "\""));
  return absl::StrJoin(patterns, "|");
}

// In single quotes for bash and zsh; fish also takes it, since it has no quote in it.
std::string Quoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "’"}}), "'");
}

std::string BashScript(const std::vector<const Node*>& nodes) {
  std::string script = absl::StrCat(
      "# bash completion for esd. Load it with: source <(esd completion bash)\n"
      "_esd() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} path=esd "
      "word\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    case \"$path $word\" in\n      ",
      ChildPattern(nodes),
      ") path=\"$path $word\" ;;\n    esac\n  done\n  COMPREPLY=()\n"
      "  # In --flag=value the = is a word of its own.\n"
      "  if [[ $current == = && $previous == --* ]]; then current=; fi\n"
      "  if [[ $previous == = && ${COMP_WORDS[COMP_CWORD-2]} == --* ]]; then "
      "previous=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
      "  case \"$path $previous\" in\n");
  for (const Node* node : nodes) {
    for (const Flag& flag : node->flags) {
      if (!flag.takes_value) continue;
      std::string action = "return";
      if (flag.takes_path)
        action = "compopt -o filenames; COMPREPLY=($(compgen -f -- \"$current\")); return";
      if (!flag.choices.empty()) {
        action = absl::StrCat("COMPREPLY=($(compgen -W '", absl::StrJoin(flag.choices, " "),
                              "' -- \"$current\")); return");
      }
      absl::StrAppend(&script, "    ", FlagPattern(*node, flag), ") ", action, " ;;\n");
    }
  }
  absl::StrAppend(&script, "  esac\n  case \"$path\" in\n");
  for (const Node* node : nodes) {
    std::vector<std::string> words;
    for (const auto& [word, description] : node->words) words.push_back(word);
    for (const Flag& flag : node->flags) words.push_back(flag.names.back());
    absl::StrAppend(&script, "    \"", node->path, "\") COMPREPLY=($(compgen -W '",
                    absl::StrJoin(words, " "), "' -- \"$current\")) ;;\n");
  }
  return absl::StrCat(script, "  esac\n}\ncomplete -F _esd esd\n");
}

// An entry of zsh's _describe: a colon separates the word from what it means.
std::string ZshEntry(const std::string& word, const std::string& description) {
  return Quoted(absl::StrCat(word, ":", absl::StrReplaceAll(description, {{":", "\\:"}})));
}

std::string ZshScript(const std::vector<const Node*>& nodes) {
  std::string script = absl::StrCat(
      "#compdef esd\n"
      "# zsh completion for esd. Load it with: source <(esd completion zsh), or store it as _esd "
      "in $fpath\n"
      "_esd() {\n"
      "  local context=esd previous=${words[CURRENT-1]} word\n"
      "  local -a commands options\n"
      "  for word in \"${(@)words[2,CURRENT-1]}\"; do\n"
      "    case \"$context $word\" in\n      (",
      ChildPattern(nodes),
      ") context=\"$context $word\" ;;\n    esac\n  done\n"
      "  if [[ $PREFIX == --*=* ]]; then previous=${PREFIX%%=*}; compset -P '*='; fi\n"
      "  case \"$context $previous\" in\n");
  for (const Node* node : nodes) {
    for (const Flag& flag : node->flags) {
      if (!flag.takes_value) continue;
      std::string action = "return";
      if (flag.takes_path) action = "_files; return";
      if (!flag.choices.empty())
        action = absl::StrCat("compadd ", absl::StrJoin(flag.choices, " "), "; return");
      absl::StrAppend(&script, "    (", FlagPattern(*node, flag), ") ", action, " ;;\n");
    }
  }
  absl::StrAppend(&script, "  esac\n  case \"$context\" in\n");
  for (const Node* node : nodes) {
    std::vector<std::string> words;
    std::vector<std::string> flags;
    for (const auto& [word, description] : node->words)
      words.push_back(ZshEntry(word, description));
    for (const Flag& flag : node->flags)
      flags.push_back(ZshEntry(flag.names.back(), flag.description));
    absl::StrAppend(&script, "    (\"", node->path, "\")\n      commands=(",
                    absl::StrJoin(words, " "), ")\n      options=(",
                    absl::StrJoin(flags, "\n        "), ") ;;\n");
  }
  return absl::StrCat(
      script,
      "  esac\n"
      "  (( $#commands )) && _describe -t commands 'command' commands\n"
      "  _describe -o -t options 'option' options\n"
      "}\n"
      "if [[ $funcstack[1] == _esd ]]; then _esd \"$@\"; else compdef _esd esd; fi\n");
}

std::string FishFlag(const Node& node, const Flag& flag) {
  std::string line = absl::StrCat("complete -c esd -n \"__esd_at '", node.path, "'\"");
  for (const std::string& name : flag.names) {
    absl::StrAppend(&line, name[1] == '-' ? " -l " + name.substr(2) : " -s " + name.substr(1));
  }
  if (flag.takes_path) {
    line += " -r -F";
  } else if (flag.takes_value) {
    line += " -x";
  }
  if (!flag.choices.empty()) absl::StrAppend(&line, " -a '", absl::StrJoin(flag.choices, " "), "'");
  return absl::StrCat(line, " -d ", Quoted(flag.description), "\n");
}

std::string FishScript(const std::vector<const Node*>& nodes) {
  std::string script = absl::StrCat(
      "# fish completion for esd. Load it with: esd completion fish | source\n"
      "function __esd_at\n"
      "  set -l path esd\n"
      "  for word in (commandline -opc)[2..-1]\n"
      "    switch \"$path $word\"\n      case ",
      absl::StrReplaceAll(ChildPattern(nodes), {{"|", " "}}),
      "\n        set path \"$path $word\"\n    end\n  end\n  test \"$path\" = $argv[1]\nend\n"
      "complete -c esd -f\n");
  for (const Node* node : nodes) {
    for (const auto& [word, description] : node->words) {
      absl::StrAppend(&script, "complete -c esd -n \"__esd_at '", node->path, "'\" -a ", word,
                      " -d ", Quoted(description), "\n");
    }
    for (const Flag& flag : node->flags) script += FishFlag(*node, flag);
  }
  return script;
}

}  // namespace

Command AddCompletion(CLI::App& parent, const Process& process) {
  CLI::App* app =
      parent.add_subcommand("completion", "Print a script that completes commands in a shell.");
  app->footer(
      "Example:\n"
      "  source <(esd completion bash)\n"
      "  esd completion fish > ~/.config/fish/completions/esd.fish");
  auto shell = std::make_shared<std::string>();
  app->add_option("shell", *shell, "The shell: bash, zsh or fish.")
      ->required()
      ->type_name("bash|zsh|fish")
      ->check([](const std::string& name) -> std::string {
        return name == "bash" || name == "zsh" || name == "fish"
                   ? ""
                   : absl::StrCat("must be bash, zsh or fish, not '", name, "'");
      });
  return {app, [shell, root = &parent, &process] {
            const Node tree = NodeOf(*root, "esd");
            std::vector<const Node*> nodes;
            Flatten(tree, nodes);
            process.out << (*shell == "bash"  ? BashScript(nodes)
                            : *shell == "zsh" ? ZshScript(nodes)
                                              : FishScript(nodes));
            return kExitOk;
          }};
}

}  // namespace esd::cmd
