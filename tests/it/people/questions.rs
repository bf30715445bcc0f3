//! What people are answered.

use upgrade_herald::{
    answer::AnswerService,
    config::Origin,
    domain::people::command::Command,
    lint,
    ports::{Asker, CommandHandler, Platform},
    words::snapshot::ConfigSnapshot,
};

use crate::{harness::pipeline::Pipeline, process::cli::changed};

const HELP: &str = "
contacts:
  - { id: ops, name: The operators' room, url: \"https://chat.example.org/ops\" }
topics:
  - id: stuck
    title: My node imports no blocks
    signs: The best block stays where it is.
    remedy: [Look at the node's version., Update it.]
    contact: ops
  - { id: wallet, title: My wallet refuses to sign, signs: It wants new metadata., remedy: [Update its metadata.] }
";

const ANSWER: &str = "{{#if topic}}{{topic.title}}: {{#each topic.remedy}}{{this}} {{/each}}{{#if topic.contact}}{{topic.contact.url}}{{/if}}{{else}}\
                      I know: {{#each topics}}{{id}} {{/each}}{{/if}}\n";

#[tokio::test]
async fn help_is_given_on_each_problem_and_what_is_mistyped_is_guessed() {
    let dir = changed("config/herald.yaml", "store", "store");
    let write = |file: &str, text: &str| std::fs::write(dir.path().join(file), text).unwrap();
    write("config/help.yaml", HELP);
    // Its notices may point to topics of the sample's own help.
    write("config/plan.yaml", crate::stories::story::PLAN);
    write("templates/answers/help.md.hbs", ANSWER);
    let origin = Origin::Folder {
        config: dir.path().join("config"),
        templates: dir.path().join("templates"),
    };
    let loaded = lint::load(&origin).unwrap();
    let open = |core: &mut upgrade_herald::outbox::Core| {
        core.files.replace(ConfigSnapshot {
            config: loaded.config,
            renderer: loaded.renderer,
        })
    };
    let w = Pipeline::build(&["paseo"], |_| {}, open).await;
    let service = AnswerService::new(w.core.clone());
    let asker = Asker::new(Platform::Discord, "1", "elsewhere");
    let ask = async |words: &[&str]| {
        service
            .answer(&asker, &Command::from_line(&words.join(" ")))
            .await
            .text
    };

    insta::assert_snapshot!(ask(&["help"]).await, @"I know: stuck wallet");
    let stuck = ask(&["help", "stuck"]).await;
    insta::assert_snapshot!(stuck, @"My node imports no blocks: Look at the node's version. Update it. https://chat.example.org/ops");
    let guessed = ask(&["help", "walet"]).await;
    insta::assert_snapshot!(guessed, @"I have no help on walet: did you mean wallet?");
    let harmless = ask(&["help", "@everyone**`"]).await;
    // The ¦ is a character of no width, which keeps the mention from calling anybody.
    insta::assert_snapshot!(harmless.replace('\u{200b}', "¦"), @r"I have no help on @¦everyone\*\*\`: there are: stuck, wallet");
    // Who asks for anything else is told what there is.
    insta::assert_snapshot!(ask(&["sing"]).await, @"I know: stuck wallet");
}
