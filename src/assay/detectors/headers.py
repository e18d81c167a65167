"""What a column's name says of it: personal data, protected attributes, roles; in several languages."""

from __future__ import annotations

import re
import unicodedata

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

PERSONAL = {
    "names of people": (
        "first name|firstname|last name|lastname|surname|family name|given name|full name|fullname"
        "|middle name|maiden name|customer name|patient name|client name|employee name|contact name"
        "|person name|cardholder|card holder|vorname|nachname|familienname|prenom|nom|nom de famille|nombre"
        "|nombres|apellido|apellidos|cognome|sobrenome|achternaam|voornaam|imie|nazwisko|fornamn|efternamn"
    ),
    "postal addresses": (
        "address|street|street address|home address|postal address|mailing address|billing address"
        "|shipping address|address line|address 1|address 2|address1|address2|adresse|strasse|anschrift"
        "|adresse postale|rue|direccion|calle|domicilio|indirizzo|via|endereco|rua|adres|ulica|adress"
        "|gatuadress"
    ),
    "dates of birth": (
        "dob|birthdate|birth date|date of birth|birthday|birth day|geburtsdatum|geburtstag"
        "|date de naissance|naissance|fecha de nacimiento|nacimiento|data di nascita|data de nascimento"
        "|geboortedatum|data urodzenia|fodelsedatum"
    ),
    "telephone numbers": (
        "phone|phone number|telephone|tel|mobile|mobile number|cell|cell phone|fax|phone no|telefon"
        "|telefonnummer|handy|telephone portable|telefono|movil|cellulare|telefone|celular|telefoon|komorka"
        "|msisdn"
    ),
    "passports and licences": (
        "passport|passport number|passport no|driver license|driver licence|drivers license|driving licence"
        "|reisepass|pasaporte|passaporto|passeport|ssn|social security number|national id|nin|nino|pesel"
        "|cpf|dni|codice fiscale|bsn|personnummer|tax id|steuer id|aadhaar|pan number"
    ),
}
PROTECTED = {
    "sex": "sex|gender|geschlecht|sexe|genre|sexo|genero|sesso|geslacht|plec|kon|is male|is female|male|female",
    "age": (
        "age|age group|age band|ageofpolicyholder|age of policy holder|alter|edad|eta|idade|leeftijd|wiek"
        "|alder|years old"
    ),
    "race": "race|ethnicity|ethnic group|ethnic|skin color|skin colour|rasse|ethnie|raza|etnia|raca|rasa",
    "nationality": (
        "nationality|citizenship|country of birth|native country|foreign worker|immigrant"
        "|staatsangehorigkeit|nationalite|nacionalidad|nazionalita|nacionalidade|nationaliteit|obywatelstwo"
    ),
    "marital status": (
        "marital status|marital|marriage|married|maritalstatus|familienstand|etat civil"
        "|situation matrimoniale|estado civil|stato civile|burgerlijke staat|personal status"
    ),
    "religion": "religion|religious affiliation|faith|konfession|culte|religione|religiao|godsdienst|wyznanie",
    "disability": ("disability|disabled|handicap|behinderung|discapacidad|disabilita|deficiencia|pregnant|pregnancy"),
    "orientation": "sexual orientation|orientation",
    "residence": "zip|zip code|zipcode|postal code|postcode|plz|code postal|codigo postal|cap|cep|kod pocztowy",
    "union": "trade union|union member|union membership|political party|gewerkschaft|syndicat",
    "language": "mother tongue|native language|muttersprache|langue maternelle|lengua materna",
}
ROLES = {
    "id": "id|uuid|guid|row id|rowid|record id|case id|key|pk|index|number|no|nr",
    "entity": (
        "customer id|customer|client id|user id|userid|patient id|patient|account id|account|member id"
        "|person id|policy holder|household id|device id|subject id|employee id|merchant id"
    ),
    "time": "time|timestamp|date|datetime|created|created at|event time|ts|day|datum|zeit|fecha|data|heure",
    "source": "source|batch|upload|batch id|file|origin|feed|provider|vendor|site|quelle|fuente|lot",
    "annotator": (
        "annotator|annotator id|labeler|labeller|rater|reviewer|coder|worker id|labeled by|labelled by|grader"
    ),
    "weight": "weight|sample weight|fnlwgt|instance weight|row weight",
    "split": "split|fold|partition|subset|is train|is test|cv fold",
    "label_delay": "label delay|delay|label time|labelled at|labeled at|outcome time|days to label|settled at",
}


def words(name: str) -> str:
    """A column's name as plain words: `AgeOfPolicyHolder`, `age_of_policy-holder` → `age of policy holder`."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(re.sub(r"[^A-Za-z0-9]+", " ", _CAMEL.sub(" ", plain)).lower().split())


def said(name: str, lexicon: dict[str, str]) -> str:
    """Which of the lexicon's meanings the whole name has, but for a first or last word of filler; "" if none.

    `PolicyType` is no policy holder and `AddressChange` no address: parts of a name are not enough.
    """
    whole = words(name)
    filler = r"^(?:customer|client|user|patient|person|applicant|employee|driver|owner|home|the|my|is) "
    shorter = {
        re.sub(r" (?:\d+|code|cat|category|group|value|flag)$", "", whole),
        re.sub(filler, "", whole),
    }
    for tries in ({whole}, shorter):
        for meaning, forms in lexicon.items():
            if tries & set(forms.split("|")):
                return meaning
    return ""
