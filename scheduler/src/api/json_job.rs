//! A job that is sent as JSON, as YAML that means the same: YAML reads JSON, tabs and some escapes in
//! texts left out. Lines stay what they are, so problems name the places of what was sent.

/// The YAML. The text is JSON.
pub(super) fn as_yaml(json: &str) -> String {
    let mut yaml = String::with_capacity(json.len());
    let mut rest = json.chars();
    let mut is_text = false;
    while let Some(letter) = rest.next() {
        match letter {
            '"' => {
                is_text = !is_text;
                yaml.push('"');
            }
            '\t' if !is_text => yaml.push(' '),
            '\\' if is_text => match rest.next() {
                Some('/') => yaml.push('/'),
                Some('u') => yaml.push_str(&escaped(&mut rest)),
                other => {
                    yaml.push('\\');
                    yaml.extend(other);
                }
            },
            letter => yaml.push(letter),
        }
    }
    yaml
}

/// The letter that the four digits which follow, or twice four, stand for.
fn escaped(rest: &mut std::str::Chars<'_>) -> String {
    let unit = |rest: &mut std::str::Chars<'_>| {
        let digits = rest.as_str().get(..4)?;
        let unit = u16::from_str_radix(digits, 16).ok()?;
        *rest = rest.as_str()[4..].chars();
        Some(unit)
    };
    let Some(first) = unit(rest) else {
        return "\\u".to_owned();
    };
    let mut units = vec![first];
    if let (0xd800..0xdc00, Some(second)) = (first, rest.as_str().strip_prefix("\\u")) {
        *rest = second.chars();
        units.extend(unit(rest));
    }
    let letters: String = char::decode_utf16(units.iter().copied())
        .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    let is_plain = |letter: char| !letter.is_control() && letter != '"' && letter != '\\';
    match letters.chars().all(is_plain) {
        true => letters,
        false => format!("\\u{first:04x}"),
    }
}

#[cfg(test)]
mod tests {
    use fleetfit_search_spaces::Job;

    use super::*;

    #[test]
    fn json_is_read_as_yaml_that_means_the_same() {
        let json = "{\n\t\"type\":\"sweep\",\"name\" : \"a\\/b \\u00e9 \\ud83d\\ude00 \\\"q\\\" \\\\u0041\",\n\
                    \t\"trial\":{\"command\":\"echo\\t'x: 1' # no\\n\\u0007\"},\"n\":[1,-2.5e3,true,null,{}]}";
        let yaml = as_yaml(json);
        let job = Job::read("job.json", &yaml).unwrap_or_else(|problems| panic!("{problems}"));
        let same = Job::read(
            "job.yaml",
            "type: sweep\nname: \"a/b é 😀 \\\"q\\\" \\\\u0041\"\n\
             trial: {command: \"echo\\t'x: 1' # no\\n\\a\"}\nn: [1, -2.5e3, true, null, {}]\n",
        );
        assert_eq!(
            job.canonical(),
            same.unwrap_or_else(|problems| panic!("{problems}")).canonical()
        );
    }

    #[test]
    fn what_no_program_can_be_given_is_refused_in_its_place() {
        let json = "{\"type\": \"sweep\", \"trial\": {\"command\": \"echo ${{search_space.x}}\"},\n\
                    \"search_space\": {\"x\": [1,\n\"a\\u0000\"]}, \"limits\": {\"max_total_trials\": 2},\n\
                    \"objective\": {\"goal\": \"minimize\", \"primary_metric\": \"loss\"}}";
        let problems = Job::read("job.json", &as_yaml(json)).unwrap().study().unwrap_err();
        let [problem] = problems.0.as_slice() else { panic!("{problems}") };
        assert_eq!((problem.place.line, problem.place.column), (3, 1), "{problems}");
        assert_eq!(problem.place.path, "search_space.x.1");
    }

    #[test]
    fn lines_stay_and_nothing_panics() {
        for json in ["", "\"\\", "\"\\u", "\"\\u12", "\"\\ud83d\\u", "\"\\ud83dx\"", "\"\\udc00\""]
        {
            as_yaml(json);
        }
        let yaml = as_yaml("{\n\n\"type\": \"sweep\",\n\"tpye\": 1}");
        assert_eq!(yaml.lines().count(), 4);
    }
}
